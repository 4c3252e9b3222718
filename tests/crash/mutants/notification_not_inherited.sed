# Nobody looks whether a waiter that was notified has died of it.
# file: src/sync/tickets.c
# scenes: who_notifies_and_who_is_notified wait_just_notified wait_and_inherit
s/(inherit(tickets, index, me) || /(/
