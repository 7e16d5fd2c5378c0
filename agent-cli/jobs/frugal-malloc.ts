/**
 * glibc keeps what was freed for each thread that ever held it, which a stream of large buffers makes 40 to 90 MiB. With
 * this it gives those back at once. Elsewhere nobody reads it, and what the operator has set wins.
 */
export const frugalMalloc = { MALLOC_ARENA_MAX: "2", MALLOC_MMAP_THRESHOLD_: "262144" };
