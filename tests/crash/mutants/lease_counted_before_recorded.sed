# A message is counted as taken before the lease is written down: who dies between the two takes it with him.
# file: src/channel/lease.c
# scenes: lease_a_fresh_one
s/^        t->woken = mproc__queue_count_head(.*$/        ;/
s/^        if (recorded && (r = mproc__ledger_prepare(/        t->woken = mproc__queue_count_head(queue, t->n, 1, t->sink->len);\n        if (recorded \&\& (r = mproc__ledger_prepare(/
