# Who finds nothing looks for leases of the dead, but not for what they gave back before they could say so.
# file: src/channel/ledger.c
# scenes: give_back_to_one_who_waits
s/if (mproc__entry_state(word) == MPROC__ENTRY_RETURNED)$/if (false)/
