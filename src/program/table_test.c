/* SPDX-License-Identifier: MIT */
/*
 * program/table_test.c - the records of named objects, and sweeping by them.
 */
#include "named_help.h"

/* --- the table ----------------------------------------------------------------------------------- */

TEST(a_taken_name_is_told_and_leaves_no_record)
{
        CHECK_OK(publish(name("a")));
        CHECK_CODE(publish(name("a")), -EEXIST);
        CHECK_CONTAINS(mproc_last_error(), "exists already");
        CHECK_INT(used_records(), 1);
        CHECK_OK(mproc__named_unlink(SEM, name("a")));
        CHECK_INT(used_records(), 0);
        CHECK_CODE(mproc__named_unlink(SEM, name("a")), -ENOENT);
}

TEST(records_are_used_again)
{
        off_t size;

        CHECK_OK(publish(name("first")));
        size = beacon_size();
        for (int i = 0; i < 300; i++) {
                CHECK_OK(publish(name("a")));
                CHECK_OK(mproc__named_unlink(SEM, name("a")));
        }
        CHECK(beacon_size() <= size + 256);
        CHECK_OK(mproc__named_unlink(SEM, name("first")));
}

/* As if consumers, other programs, unlinked what this one creates. */
TEST(records_of_what_others_unlinked_do_not_pile_up)
{
        char text[80];

        for (int i = 0; i < 1000; i++) {
                (void)snprintf(text, sizeof text, "%s%d", name("job"), i);
                CHECK_OK(publish(text));
                CHECK(unlink(path_of(text)) == 0);
        }
        CHECK(used_records() <= 64);
        CHECK(beacon_size() <= MPROC__BEACON_NAMES_AT + 64 * 256);
}

TEST(living_names_survive_the_search_for_room)
{
        char text[80];
        char removed[4096];

        for (int i = 0; i < 200; i++) { /* every second one is unlinked by somebody else */
                (void)snprintf(text, sizeof text, "%s%d", name("job"), i);
                CHECK_OK(publish(text));
                if (i % 2)
                        CHECK(unlink(path_of(text)) == 0);
        }
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 100);
        CHECK_INT(used_records(), 0);
        for (int i = 0; i < 200; i++) {
                (void)snprintf(text, sizeof text, "%s%d", name("job"), i);
                CHECK(!exists(text));
        }
}

/* --- sweeping ------------------------------------------------------------------------------------ */

TEST(a_sweep_removes_what_is_recorded_and_names_it)
{
        char removed[256];
        char *wanted = text_format("%s %s", name("a"), name("b"));

        CHECK_OK(publish(name("a")));
        CHECK_OK(publish(name("b")));
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 2);
        CHECK_STR(removed, wanted);
        CHECK(!exists(name("a")) && !exists(name("b")));
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 0);
        CHECK_STR(removed, "");
        free(wanted);
}

TEST(a_list_that_is_cut_says_so)
{
        char removed[64];

        for (char c[] = "a"; c[0] < 'f'; c[0]++)
                CHECK_OK(publish(name(c)));
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 5);
        CHECK_STR(removed + strlen(removed) - 4, " ...");
        CHECK_OK(publish(name("a")));
        CHECK_INT(mproc__names_sweep(beacon(), removed, 3), 1);
        CHECK_STR(removed, "");
}

TEST(bytes_that_terminals_obey_are_not_shown)
{
        char removed[256], object[64];

        (void)snprintf(object, sizeof object, "%s\033[2J\n\177", name("x"));
        CHECK_OK(publish(object));
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 1);
        CHECK_CONTAINS(removed, "x?[2J??");
}

/* A process that died between record and link has left this. */
TEST(a_record_without_a_file_does_nothing)
{
        struct mproc__object_id id = { { 1, 2, 3 } };
        char removed[256];
        off_t at;

        CHECK_OK(mproc__table_add(beacon(), SEM, name("ghost"), &id, &at));
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 0);
        CHECK_STR(removed, "");
        CHECK_INT(used_records(), 0);
}

TEST(a_strangers_object_of_the_same_name_stays)
{
        struct mproc__object_id id = { { 1, 2, 3 } };
        char removed[256];
        off_t at;

        CHECK_OK(publish(name("a")));
        CHECK(unlink(path_of(name("a"))) == 0);
        (void)put_strangers_object(name("a")); /* another file by now */
        (void)put_strangers_object(name("b"));
        CHECK_OK(mproc__table_add(beacon(), SEM, name("b"), &id, &at)); /* died before its link */
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 0);
        CHECK(exists(name("a")) && exists(name("b")));
        CHECK(unlink(path_of(name("a"))) == 0 && unlink(path_of(name("b"))) == 0);
}

/* The other half: both identities have to be right. */
TEST(an_older_object_of_the_same_program_is_told_from_a_newer)
{
        struct mproc__program_id program;
        struct mproc__named_header old, new;

        CHECK_OK(mproc__program_identity(&program));
        CHECK_OK(publish(name("a")));
        old = header_of(name("a"));
        CHECK_OK(mproc__named_unlink(SEM, name("a")));
        CHECK_OK(publish(name("a")));
        new = header_of(name("a"));
        CHECK_INT(mproc__named_remove(SEM, name("a"), &program, &old.object), 0);
        CHECK(exists(name("a")));
        CHECK_INT(mproc__named_remove(SEM, name("a"), &program, &new.object), 1);
        CHECK(!exists(name("a")));
}

TEST(garbage_in_the_table_is_not_followed)
{
        unsigned char record[256];
        char removed[256];

        CHECK_OK(publish(name("a")));
        for (unsigned round = 0; round < 64; round++) {
                CHECK_OK(mproc__plat_random(record, sizeof record));
                record[0] = 1;
                record[1] = record[2] = record[3] = 0;
                record[4] = 1;
                record[5] = record[6] = record[7] = 0;
                if (round % 2)
                        memcpy(record + 24, "/../../tmp/x", 13);
                else
                        memset(record + 24, 'x', 232);
                CHECK(pwrite(beacon(), record, sizeof record, MPROC__BEACON_NAMES_AT + 256 * (off_t)(round + 1)) ==
                      (ssize_t)sizeof record);
        }
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 1);
        CHECK_INT(used_records(), 0);
}
