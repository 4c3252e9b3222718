# SPDX-License-Identifier: MIT
#
# bench/queue.awk - queue.csv for chart.awk: messages a second, over their size (-v view=sizes), or over
# the number of processes (-v view=processes).

BEGIN {
        if (view == "sizes") {
                title = "Messages a second by size"
                caption = "size of a message"
        } else {
                title = "Messages a second by number of processes"
                caption = "producers and consumers, messages of 64 bytes"
        }
        about = title ": queues of mproc beside the means of the system, other libraries, Python, and what spinning processes reach."
        subtitle = "processes pinned to CPUs, median; dashed: spinning or bare copying, as a limit; higher is better"
        show("pipe", "peer", "pipe")
        show("seqpacket", "peer", "AF_UNIX seqpacket")
        show("posix_mq", "peer", "POSIX mq")
        show("boost_mq", "fork", "Boost message_queue")
        show("zeromq", "peer", "ZeroMQ")
        show("nng", "peer", "nng")
        show("python_queue", "python", "Python Queue")
        show("spin_mpmc", "peer raw", "spinning MPMC ring")
        if (view == "sizes") {
                show("spin_spsc", "peer raw", "spinning SPSC ring")
                show("memcpy_handoff", "peer raw", "memcpy, one buffer")
        }
        show("mproc_many", "server ours", "mproc, 16 at a time")
        show("mproc", "spawn ours", "mproc Queue")
}

NR > 1 {
        sub(/"[^"]*"/, "") # the label may hold commas
        split($0, field, ",")
        if (field[3] != "throughput" || field[8] != 1)
                next
        if (view == "sizes" && field[5] == 1 && field[6] == 1)
                figure(field[1], field[4] + 0, field[10] + 0)
        else if (view != "sizes" && field[4] == 64)
                figure(field[1], 100 * field[5] + field[6], field[10] + 0)
}

function x_text(x)
{
        if (view != "sizes")
                return int(x / 100) " to " x % 100
        if (x >= 1048576)
                return x / 1048576 " MiB"
        return x >= 1024 ? x / 1024 " KiB" : x " B"
}

function with_unit(y, format)
{
        if (y >= 1e6)
                return sprintf(format " M", y / 1e6)
        return y >= 1e3 ? sprintf(format " k", y / 1e3) : sprintf(format, y)
}

function y_text(y) { return with_unit(y, y >= 1e5 && y < 1e6 || y >= 1e8 || y < 1e3 ? "%.0f" : "%.1f") }

function y_tick(y) { return with_unit(y, "%d") }
