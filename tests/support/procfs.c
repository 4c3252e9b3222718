/* SPDX-License-Identifier: MIT */
/*
 * support/procfs.c - processes as /proc shows them.
 *
 * Runs in: the runner, test processes.  Everything read here may be out of date
 * when the function returns; who needs certainty waits for the event itself.
 */
#include "support/internal.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void
procfs_text(pid_t pid, pid_t tid, const char *file, char *ret_text, size_t size)
{
        char path[96];
        ssize_t len = -1;
        int fd;

        if (tid > 0)
                snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)pid, (int)tid, file);
        else
                snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
        if ((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
                len = read(fd, ret_text, size - 1);
                close(fd);
        }
        if (len < 0)
                len = 0;
        for (ssize_t i = 0; i < len; i++) /* arguments are separated by NULs */
                if (ret_text[i] == '\0')
                        ret_text[i] = ' ';
        while (len > 0 && isspace((unsigned char)ret_text[len - 1]))
                len--;
        ret_text[len] = '\0';
}

bool
procfs_stat(pid_t pid, struct procfs_stat *ret_stat)
{
        char text[512];
        char *open_paren, *close_paren;
        int parent, group, session;
        size_t len;

        procfs_text(pid, 0, "stat", text, sizeof text);
        open_paren = strchr(text, '(');
        close_paren = strrchr(text, ')'); /* the name itself may hold parentheses */
        if (!open_paren || !close_paren)
                return false;
        if (sscanf(close_paren + 1, " %c %d %d %d", &ret_stat->state, &parent, &group, &session) != 4)
                return false;
        ret_stat->pid = pid, ret_stat->parent = parent, ret_stat->group = group, ret_stat->session = session;
        len = (size_t)(close_paren - open_paren - 1);
        if (len >= sizeof ret_stat->name)
                len = sizeof ret_stat->name - 1;
        memcpy(ret_stat->name, open_paren + 1, len);
        ret_stat->name[len] = '\0';
        return true;
}

static size_t
all_processes(struct procfs_stat **ret_list)
{
        struct procfs_stat *list = NULL;
        size_t count = 0, room = 0;
        struct dirent *entry;
        DIR *dir = opendir("/proc");

        while (dir && (entry = readdir(dir))) {
                if (!isdigit((unsigned char)entry->d_name[0]))
                        continue;
                if (count == room) {
                        room = room ? room * 2 : 256;
                        list = realloc(list, room * sizeof *list);
                        CHECK_MSG(list, "out of memory");
                }
                if (procfs_stat((pid_t)atoi(entry->d_name), &list[count]))
                        count++;
        }
        if (dir)
                closedir(dir);
        *ret_list = list;
        return count;
}

/* Sweeps over the list until a sweep finds no more: families here are small. */
size_t
procfs_descendants(pid_t ancestor, struct procfs_stat **ret_list)
{
        struct procfs_stat *all, *found;
        size_t count = all_processes(&all), found_count = 0, before;

        found = calloc(count + 1, sizeof *found);
        CHECK_MSG(found, "out of memory");
        do {
                before = found_count;
                for (size_t i = 0; i < count; i++) {
                        bool ours = all[i].parent == ancestor;

                        for (size_t j = 0; !ours && j < found_count; j++)
                                ours = all[i].parent == found[j].pid;
                        if (ours && all[i].pid != 0) {
                                found[found_count++] = all[i];
                                all[i].pid = all[i].parent = 0; /* taken */
                        }
                }
        } while (found_count > before);
        free(all);
        *ret_list = found;
        return found_count;
}

/* A helper process names itself soon after its exec; a child of the fork server has the server's arguments. */
bool
procfs_is_library_process(const struct procfs_stat *process)
{
        return strcmp(process->name, "mproc-tracker") == 0 || strcmp(process->name, "mproc-forksrv") == 0;
}

static void
describe_thread(FILE *out, pid_t pid, pid_t tid)
{
        char state[512], wchan[128], syscall[256], stack[2048];
        char *close_paren;

        procfs_text(pid, tid, "stat", state, sizeof state);
        procfs_text(pid, tid, "wchan", wchan, sizeof wchan);
        procfs_text(pid, tid, "syscall", syscall, sizeof syscall);
        procfs_text(pid, tid, "stack", stack, sizeof stack);
        close_paren = strrchr(state, ')');
        fprintf(out, "      thread %d: state %c, wchan %s, syscall %s\n", (int)tid,
                close_paren && close_paren[1] ? close_paren[2] : '?', wchan[0] ? wchan : "?",
                syscall[0] ? syscall : "?");
        for (char *line = strtok(stack, "\n"); line; line = strtok(NULL, "\n"))
                fprintf(out, "        %s\n", line);
}

void
procfs_describe(FILE *out, const struct procfs_stat *process)
{
        char path[64], cmdline[400];
        struct dirent *entry;
        DIR *dir;

        procfs_text(process->pid, 0, "cmdline", cmdline, sizeof cmdline);
        fprintf(out, "    process %d (%s), parent %d, session %d, state %c: %s\n", (int)process->pid, process->name,
                (int)process->parent, (int)process->session, process->state, cmdline);
        if (process->state == 'Z')
                return;
        snprintf(path, sizeof path, "/proc/%d/task", (int)process->pid);
        dir = opendir(path);
        while (dir && (entry = readdir(dir)))
                if (isdigit((unsigned char)entry->d_name[0]))
                        describe_thread(out, process->pid, (pid_t)atoi(entry->d_name));
        if (dir)
                closedir(dir);
}

int
count_sleeping_threads(void)
{
        DIR *dir = opendir("/proc/self/task");
        struct dirent *entry;
        int sleeping = 0;

        CHECK(dir != NULL);
        while ((entry = readdir(dir)) != NULL) {
                char *path = text_format("/proc/self/task/%s/stat", entry->d_name);
                char *stat = atoi(entry->d_name) != getpid() ? read_file(path, NULL) : NULL;

                sleeping += stat != NULL && strstr(stat, ") S ") != NULL;
                free(stat);
                free(path);
        }
        closedir(dir);
        return sleeping;
}
