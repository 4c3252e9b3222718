# SPDX-License-Identifier: MIT
#
# bench/targets.awk - a list of targets in CSV as a table of a Markdown text.
#
# awk -v csv=FILE -v name=NAME: what stands between the lines "<!-- NAME -->" and "<!-- end -->" is replaced.

function number(text) { return text < 10 ? sprintf("%.2f", text) : sprintf("%.0f", text) }

function print_table(    line, part, field)
{
        print "| | Target | Here | |"
        print "|---|---|---|---|"
        getline line < csv # the heading
        while ((getline line < csv) > 0) {
                split(line, part, "\"") # the target's text may hold commas
                split(part[3], field, ",")
                print "| " part[2] " | " field[2] " " number(field[3]) " | " (field[4] == "" ? "-" : number(field[4])) " | " field[5] " |"
        }
        close(csv)
}

$0 == "<!-- " name " -->" {
        print
        print_table()
        replacing = 1
        next
}

$0 == "<!-- end -->" { replacing = 0 }

!replacing
