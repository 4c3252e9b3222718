# SPDX-License-Identifier: MIT
#
# bench/start.awk - start-cost.csv for chart.awk: microseconds over the size of the parent in MiB.

BEGIN {
        title = "What it costs to start a process"
        about = "Time for start, exit and join of an empty child over the private memory of the parent, mproc beside the bare system, C libraries and Python."
        subtitle = "start, exit and join of an empty child, median; dashed: the bare system calls; lower is better"
        caption = "private memory of the parent"
        show("libuv", "peer", "libuv")
        show("glib", "peer", "GLib")
        show("glib_leave_fds", "peer", "GLib, descriptors left open")
        show("apr", "peer", "APR")
        show("boost", "peer", "Boost.Process")
        show("python_fork", "python", "Python fork")
        show("python_spawn", "python", "Python spawn")
        show("python_forkserver", "python", "Python forkserver")
        show("raw_fork", "fork raw", "fork + wait")
        show("posix_spawn", "spawn raw", "posix_spawn")
        show("bare_server", "server raw", "bare fork server")
        show("mproc_fork", "fork ours", "mproc fork")
        show("mproc_spawn", "spawn ours", "mproc spawn")
        show("mproc_forkserver", "server ours", "mproc forkserver")
}

NR > 1 {
        sub(/"[^"]*"/, "") # the label may hold commas
        split($0, field, ",")
        figure(field[1], field[3] + 0, field[5] + 0)
}

function x_text(mib)
{
        if (mib == 0)
                return "0"
        return mib % 1024 == 0 ? mib / 1024 " GiB" : mib " MiB"
}

function y_text(us)
{
        if (us < 1000)
                return sprintf("%.2f ms", us / 1000)
        if (us < 10000)
                return sprintf("%.1f ms", us / 1000)
        return sprintf("%.0f ms", us / 1000)
}

function y_tick(us) { return us / 1000 " ms" }
