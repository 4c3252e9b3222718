/* SPDX-License-Identifier: MIT */
/*
 * barrier_test.c - barriers: all go on or none, in every round, whoever lives or dies.
 *
 * Runs in: test processes.
 */
#include "sync_help.h"

#include <errno.h>
#include <pthread.h>

static mproc_barrier *
make_barrier(unsigned parties)
{
        mproc_barrier *barrier;

        CHECK_OK(mproc_barrier_create(NULL, parties, MPROC_FOREVER, &barrier));
        return barrier;
}

/* --- one process ------------------------------------------------------------------------------------- */

TEST(wrong_use_of_a_barrier_is_told)
{
        mproc_barrier *barrier = NULL;

        CHECK_CODE(mproc_barrier_create(NULL, 0, 0, &barrier), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "1 to 4096 parties");
        CHECK_CODE(mproc_barrier_create(NULL, MPROC_BARRIER_PARTIES_MAX + 1, 0, &barrier), -EINVAL);
        CHECK(!barrier);
        CHECK_CODE(mproc_barrier_wait(NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_barrier_abort(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_barrier_reset(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_barrier_parties(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_barrier_n_waiting(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_barrier_broken(NULL), MPROC_EHANDLE);
        mproc_barrier_free(NULL);
        CHECK_OK(mproc_barrier_create(NULL, MPROC_BARRIER_PARTIES_MAX, 0, &barrier));
        CHECK_INT(mproc_barrier_parties(barrier), MPROC_BARRIER_PARTIES_MAX);
        mproc_barrier_free(barrier);
}

TEST(a_barrier_for_one_is_none)
{
        mproc_barrier *barrier = make_barrier(1);

        for (int i = 0; i < 100; i++)
                CHECK_INT(mproc_barrier_wait(barrier, MPROC_NOWAIT), 0);
        CHECK_INT(mproc_barrier_n_waiting(barrier), 0);
        CHECK_INT(mproc_barrier_broken(barrier), 0);
        mproc_barrier_free(barrier);
}

TEST(a_timeout_breaks_it_until_it_is_reset)
{
        mproc_barrier *barrier = make_barrier(2);
        int64_t t = monotonic_ms();

        CHECK_CODE(mproc_barrier_wait(barrier, 120), MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), "not all of the barrier's 2 parties");
        CHECK(monotonic_ms() - t >= 119);
        CHECK_INT(mproc_barrier_broken(barrier), 1);
        CHECK_CODE(mproc_barrier_wait(barrier, MPROC_FOREVER), MPROC_EBROKEN);
        CHECK_CONTAINS(mproc_last_error(), "time");
        CHECK_OK(mproc_barrier_reset(barrier));
        CHECK_INT(mproc_barrier_broken(barrier), 0);
        CHECK_CODE(mproc_barrier_wait(barrier, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_OK(mproc_barrier_reset(barrier));
        CHECK_OK(mproc_barrier_reset(barrier)); /* no effect */
        CHECK_OK(mproc_barrier_abort(barrier));
        CHECK_OK(mproc_barrier_abort(barrier)); /* no effect */
        CHECK_CODE(mproc_barrier_wait(barrier, 1), MPROC_EBROKEN);
        CHECK_CONTAINS(mproc_last_error(), "aborted");
        mproc_barrier_free(barrier);
}

TEST(a_barrier_has_a_timeout_of_its_own)
{
        mproc_barrier *barrier;

        CHECK_OK(mproc_barrier_create(NULL, 2, 50, &barrier));
        CHECK_CODE(mproc_barrier_wait(barrier, MPROC_FOREVER), MPROC_ETIMEDOUT);
        mproc_barrier_free(barrier);
}

struct crew {
        mproc_barrier *barrier;
        int rounds, parties;
        long before[8]; /* rounds that each has begun; plain on purpose: the barrier orders them */
        atomic_int next, actions;
        atomic_int came[8];
};

static int
count_action(void *arg)
{
        struct crew *crew = arg;

        crew->actions++;
        for (int i = 1; i < crew->parties; i++) /* nobody goes on while it runs */
                CHECK_INT(crew->before[i], crew->before[0]);
        return 0;
}

static void *
go_rounds(void *arg)
{
        struct crew *crew = arg;
        int me = crew->next++;

        for (int i = 0; i < crew->rounds; i++) {
                int r;

                crew->before[me]++;
                r = mproc_barrier_wait_action(crew->barrier, i % 2 ? count_action : NULL, crew, scaled_ms(LONG_MS));
                CHECK(r >= 0 && r < crew->parties);
                crew->came[r]++;
                for (int k = 0; k < crew->parties; k++)
                        CHECK_INT(crew->before[k], i + 1);
                CHECK((r = mproc_barrier_wait(crew->barrier, scaled_ms(LONG_MS))) >= 0);
        }
        return NULL;
}

TEST(threads_keep_step)
{
        struct crew crew = { .barrier = make_barrier(4), .rounds = 1000, .parties = 4 };
        pthread_t threads[4];

        for (int i = 0; i < 4; i++)
                pthread_create(&threads[i], NULL, go_rounds, &crew);
        for (int i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        CHECK_INT(crew.actions, crew.rounds / 2);
        for (int i = 0; i < 4; i++) /* each place in the order is taken once in a round */
                CHECK_INT(crew.came[i], crew.rounds);
        mproc_barrier_free(crew.barrier);
}

/* --- the action ---------------------------------------------------------------------------------------- */

static int
refuse(void *arg)
{
        (void)arg;
        return -EPERM;
}

/* Waits and tells the result; for forked children. */
static pid_t
fork_party(mproc_barrier *barrier, atomic_int *result, int64_t timeout_ms)
{
        pid_t pid = fork();

        if (pid == 0) {
                *result = 100 + mproc_barrier_wait(barrier, timeout_ms);
                _exit(0);
        }
        await_sleep(pid);
        return pid;
}

TEST(a_failed_action_breaks_it_for_all)
{
        mproc_barrier *barrier = make_barrier(3);
        atomic_int *result = shared_page();
        pid_t a = fork_party(barrier, &result[0], MPROC_FOREVER), b = fork_party(barrier, &result[1], MPROC_FOREVER);

        CHECK_INT(mproc_barrier_n_waiting(barrier), 2);
        CHECK_CODE(mproc_barrier_wait_action(barrier, refuse, NULL, MPROC_FOREVER), -EPERM);
        CHECK_CONTAINS(mproc_last_error(), "action failed");
        reap(a);
        reap(b);
        CHECK_INT(result[0], 100 + MPROC_EBROKEN);
        CHECK_INT(result[1], 100 + MPROC_EBROKEN);
        CHECK_CODE(mproc_barrier_wait(barrier, 0), MPROC_EBROKEN);
        CHECK_CONTAINS(mproc_last_error(), "action failed in process");
        mproc_barrier_free(barrier);
        munmap(result, 4096);
}

static int
die_in_action(void *arg)
{
        (void)arg;
        raise(SIGKILL);
        return 0;
}

TEST(who_dies_in_the_action_breaks_it)
{
        mproc_barrier *barrier = make_barrier(3);
        atomic_int *result = shared_page();
        pid_t a = fork_party(barrier, &result[0], MPROC_FOREVER), b = fork_party(barrier, &result[1], MPROC_FOREVER);
        pid_t last = fork();

        if (last == 0) {
                (void)mproc_barrier_wait_action(barrier, die_in_action, NULL, MPROC_FOREVER);
                _exit(1);
        }
        CHECK_INT(wait_program(last, LONG_MS), -SIGKILL);
        reap(a);
        reap(b);
        CHECK_INT(result[0], 100 + MPROC_EBROKEN);
        CHECK_INT(result[1], 100 + MPROC_EBROKEN);
        mproc_barrier_free(barrier);
        munmap(result, 4096);
}

static atomic_int *action_step;

static int
slow_action(void *arg)
{
        (void)arg;
        action_step[0] = 1;
        while (action_step[0] == 1)
                sleep_ms(1);
        return 0;
}

/* Who comes while the action of a full round runs waits for the next round. */
TEST(who_comes_during_the_action_is_of_the_next_round)
{
        mproc_barrier *barrier = make_barrier(2);
        pid_t first, last, third;
        atomic_int *result;

        action_step = shared_page();
        result = action_step + 1;
        first = fork_party(barrier, &result[0], MPROC_FOREVER);
        if ((last = fork()) == 0) {
                CHECK_INT(mproc_barrier_wait_action(barrier, slow_action, NULL, MPROC_FOREVER), 1);
                _exit(0);
        }
        WAIT_UNTIL(action_step[0] == 1, LONG_MS);
        CHECK_INT(mproc_barrier_n_waiting(barrier), 2);
        CHECK_CODE(mproc_barrier_wait(barrier, 30), MPROC_ETIMEDOUT); /* not inside: nothing breaks */
        CHECK_CONTAINS(mproc_last_error(), "action still runs");
        CHECK_INT(mproc_barrier_broken(barrier), 0);
        third = fork_party(barrier, &result[1], MPROC_FOREVER);
        action_step[0] = 2;
        reap(first);
        reap(last);
        CHECK_INT(result[0], 100);
        CHECK_INT(mproc_barrier_wait(barrier, scaled_ms(LONG_MS)) >= 0, 1);
        reap(third);
        CHECK(result[1] >= 100);
        mproc_barrier_free(barrier);
        munmap(action_step, 4096);
}

/* An abort during the action breaks the round for all, the last one too. */
TEST(an_abort_during_the_action_is_told_to_all)
{
        mproc_barrier *barrier = make_barrier(2);
        atomic_int *result;
        pid_t first, last;

        action_step = shared_page();
        result = action_step + 1;
        first = fork_party(barrier, &result[0], MPROC_FOREVER);
        if ((last = fork()) == 0) {
                CHECK_CODE(mproc_barrier_wait_action(barrier, slow_action, NULL, MPROC_FOREVER), MPROC_EBROKEN);
                CHECK_CONTAINS(mproc_last_error(), "aborted");
                _exit(0);
        }
        WAIT_UNTIL(action_step[0] == 1, LONG_MS);
        CHECK_OK(mproc_barrier_abort(barrier));
        reap(first);
        CHECK_INT(result[0], 100 + MPROC_EBROKEN);
        action_step[0] = 2;
        reap(last);
        mproc_barrier_free(barrier);
        munmap(action_step, 4096);
}

/* --- rounds ---------------------------------------------------------------------------------------------- */

TEST(abort_and_reset_send_all_away)
{
        mproc_barrier *barrier = make_barrier(4);
        atomic_int *result = shared_page();
        pid_t pids[3];

        for (int round = 0; round < 3; round++) {
                for (int i = 0; i < 3; i++)
                        pids[i] = fork_party(barrier, &result[i], MPROC_FOREVER);
                CHECK_OK(round == 1 ? mproc_barrier_abort(barrier) : mproc_barrier_reset(barrier));
                for (int i = 0; i < 3; i++) {
                        reap(pids[i]);
                        CHECK_INT(result[i], 100 + MPROC_EBROKEN);
                }
                CHECK_INT(mproc_barrier_broken(barrier), round == 1);
                CHECK_INT(mproc_barrier_n_waiting(barrier), 0);
                CHECK_OK(mproc_barrier_reset(barrier));
        }
        mproc_barrier_free(barrier);
        munmap(result, 4096);
}

/*
 * Two are stopped while they wait: one in a round that passes, one in a round that is reset.  Many rounds later
 * each is told how his own went.
 */
TEST(who_is_stopped_is_told_about_his_own_round)
{
        mproc_barrier *barrier = make_barrier(2);
        atomic_int *result = shared_page();
        pid_t passed, sent_away, pid;

        passed = fork_party(barrier, &result[0], MPROC_FOREVER);
        stop_and_wait(passed);
        CHECK_INT(mproc_barrier_wait(barrier, scaled_ms(LONG_MS)), 1);
        sent_away = fork_party(barrier, &result[1], MPROC_FOREVER);
        stop_and_wait(sent_away);
        CHECK_OK(mproc_barrier_reset(barrier));
        for (int i = 0; i < 5; i++) {
                pid = fork_party(barrier, &result[2], MPROC_FOREVER);
                CHECK_INT(mproc_barrier_wait(barrier, scaled_ms(LONG_MS)), 1);
                reap(pid);
                CHECK_INT(result[2], 100);
                if (i % 2)
                        CHECK_OK(mproc_barrier_abort(barrier));
                CHECK_OK(mproc_barrier_reset(barrier));
        }
        kill(passed, SIGCONT);
        kill(sent_away, SIGCONT);
        reap(passed);
        reap(sent_away);
        CHECK_INT(result[0], 100);
        CHECK_INT(result[1], 100 + MPROC_EBROKEN);
        mproc_barrier_free(barrier);
        munmap(result, 4096);
}

/* --- processes by every start method -------------------------------------------------------------------- */

enum { ROUNDS = 60 };

static int
keep_step(mproc_args *args)
{
        mproc_barrier *barrier = mproc_args_barrier(args, 0);
        atomic_int *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_args_fd(args, 1), 0);

        CHECK(count != MAP_FAILED);
        for (int i = 1; i <= ROUNDS; i++) {
                ++*count;
                CHECK(mproc_barrier_wait(barrier, MPROC_FOREVER) >= 0);
                CHECK_INT(*count, 4 * i);
                CHECK(mproc_barrier_wait(barrier, MPROC_FOREVER) >= 0);
        }
        return 0;
}

START_METHOD_TEST(processes_keep_step)
{
        int fd = memfd_create("count", MFD_CLOEXEC);
        mproc_barrier *barrier;
        mproc_process *p[4];

        CHECK(ftruncate(fd, 4096) == 0);
        CHECK_OK(mproc_barrier_create(ctx, 4, scaled_ms(LONG_MS), &barrier));
        for (int i = 0; i < 4; i++)
                p[i] = start(ctx, keep_step, MPROC_ARGS(barrier, mproc_fd(fd)));
        for (int i = 0; i < 4; i++)
                finish(p[i], 0);
        mproc_barrier_free(barrier);
        close(fd);
}

static int
wait_at(mproc_args *args)
{
        int r = mproc_barrier_wait(mproc_args_barrier(args, 0), MPROC_FOREVER);

        return r == MPROC_EBROKEN ? 77 : r < 0 ? 1 : 0;
}

static mproc_process *
start_party(mproc_context *ctx, mproc_barrier *barrier)
{
        int before = mproc_barrier_n_waiting(barrier);
        mproc_process *p = start(ctx, wait_at, MPROC_ARGS(barrier));

        WAIT_UNTIL(mproc_barrier_n_waiting(barrier) > before, LONG_MS);
        return p;
}

/* The others find out while they wait, and the words say who. */
START_METHOD_TEST(who_dies_waiting_breaks_it)
{
        mproc_barrier *barrier;
        mproc_process *p[3];
        char *victim;

        CHECK_OK(mproc_barrier_create(ctx, 4, MPROC_FOREVER, &barrier));
        for (int round = 0; round < 2; round++) {
                for (int i = 0; i < 3; i++)
                        p[i] = start_party(ctx, barrier);
                victim = text_format("pid %d", (int)mproc_process_pid(p[1]));
                kill(mproc_process_pid(p[1]), SIGKILL);
                finish(p[0], 77);
                finish(p[2], 77);
                finish(p[1], -SIGKILL);
                CHECK_CODE(mproc_barrier_wait(barrier, MPROC_FOREVER), MPROC_EBROKEN);
                CHECK_CONTAINS(mproc_last_error(), victim);
                CHECK_CONTAINS(mproc_last_error(), "died waiting");
                CHECK_OK(mproc_barrier_reset(barrier));
                free(victim);
        }
        mproc_barrier_free(barrier);
}

/* With nobody left to find out, who comes last does. */
START_METHOD_TEST(the_last_one_does_not_go_on_with_the_dead)
{
        mproc_barrier *barrier;
        mproc_process *p;

        CHECK_OK(mproc_barrier_create(ctx, 2, MPROC_FOREVER, &barrier));
        p = start_party(ctx, barrier);
        kill(mproc_process_pid(p), SIGKILL);
        finish(p, -SIGKILL);
        CHECK_INT(mproc_barrier_broken(barrier), 0); /* nobody has looked */
        CHECK_CODE(mproc_barrier_wait(barrier, scaled_ms(LONG_MS)), MPROC_EBROKEN);
        CHECK_CONTAINS(mproc_last_error(), "died waiting");
        CHECK_OK(mproc_barrier_reset(barrier));
        p = start_party(ctx, barrier);
        CHECK_INT(mproc_barrier_wait(barrier, scaled_ms(LONG_MS)), 1);
        finish(p, 0);
        mproc_barrier_free(barrier);
}

/* A party that is stopped is not dead: who has waited long enough gives up, and reset helps. */
START_METHOD_TEST(a_stopped_party_holds_up_nobody_for_longer_than_he_wants)
{
        mproc_barrier *barrier;
        mproc_process *p, *other;

        CHECK_OK(mproc_barrier_create(ctx, 3, MPROC_FOREVER, &barrier));
        p = start_party(ctx, barrier);
        stop_and_wait(mproc_process_pid(p));
        CHECK_CODE(mproc_barrier_wait(barrier, 250), MPROC_ETIMEDOUT);
        CHECK_OK(mproc_barrier_reset(barrier));
        other = start_party(ctx, barrier);
        CHECK_INT(mproc_barrier_n_waiting(barrier), 1);
        kill(mproc_process_pid(p), SIGCONT);
        finish(p, 77);
        CHECK_OK(mproc_barrier_abort(barrier));
        finish(other, 77);
        mproc_barrier_free(barrier);
}

/* As many tickets as there are: of the dead, round after round. */
TEST(tickets_of_the_dead_are_used_again)
{
        mproc_barrier *barrier = make_barrier(2);
        atomic_int *result = shared_page();

        for (int i = 0; i < 20; i++) {
                kill_and_reap(fork_party(barrier, result, MPROC_FOREVER));
                CHECK_CODE(mproc_barrier_wait(barrier, scaled_ms(LONG_MS)), MPROC_EBROKEN);
                CHECK_OK(mproc_barrier_reset(barrier));
        }
        mproc_barrier_free(barrier);
        munmap(result, 4096);
}

/* --- a storm ---------------------------------------------------------------------------------------------- */

/* In each round each party counts; a round that passed was counted by all, and by nobody twice. */
struct field {
        atomic_int over;
        atomic_long rounds[4];
};

static void
run_rounds(mproc_barrier *barrier, struct field *field, int me)
{
        while (!field->over) {
                int r = mproc_barrier_wait(barrier, scaled_ms(LONG_MS));

                if (r >= 0)
                        field->rounds[me]++;
                else if (r == MPROC_EBROKEN)
                        sleep_ms(1);
                else
                        CHECK_MSG(false, "a wait ended with %d: %s", r, mproc_last_error());
        }
}

static pid_t
fork_runner(mproc_barrier *barrier, struct field *field, int me)
{
        pid_t pid = fork();

        if (pid == 0) {
                run_rounds(barrier, field, me);
                _exit(0);
        }
        return pid;
}

/* False, so that it can be asked for in between. */
static bool
repaired(mproc_barrier *barrier)
{
        if (mproc_barrier_broken(barrier))
                CHECK_OK(mproc_barrier_reset(barrier));
        return false;
}

/* One of three is killed again and again: the others never hang, and find the barrier broken or go on. */
TEST(parties_die_again_and_again, .limit_s = 120)
{
        int64_t end = monotonic_ms() + (getenv("MPROC_STORM") ? 1000 * atoi(getenv("MPROC_STORM")) : 700);
        struct field *field = shared_page();
        mproc_barrier *barrier = make_barrier(3);
        unsigned seed = 4711;
        pid_t pids[3];

        for (int i = 0; i < 3; i++)
                pids[i] = fork_runner(barrier, field, i);
        while (monotonic_ms() < end) {
                int victim = rand_r(&seed) % 3;
                long before = field->rounds[0];

                /* They go on after each repair. */
                WAIT_UNTIL(field->rounds[0] > before || mproc_barrier_broken(barrier), LONG_MS);
                kill_and_reap(pids[victim]);
                pids[victim] = fork_runner(barrier, field, victim);
                sleep_ms(rand_r(&seed) % 3);
                CHECK_OK(mproc_barrier_reset(barrier));
                before = field->rounds[0];
                WAIT_UNTIL(field->rounds[0] > before || repaired(barrier), LONG_MS);
        }
        field->over = 1;
        CHECK_OK(mproc_barrier_abort(barrier));
        for (int i = 0; i < 3; i++)
                reap(pids[i]);
        CHECK(field->rounds[0] > 0);
        mproc_barrier_free(barrier);
        munmap(field, 4096);
}
