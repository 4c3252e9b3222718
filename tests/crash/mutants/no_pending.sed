# The system is never told of a lock: its dead owner keeps it.
# file: src/platform/futex.h
# scenes: put_into_an_idle_queue
s/\*self->pending = (void \*)((uintptr_t)word - self->offset);/(void)self, (void)word;/
