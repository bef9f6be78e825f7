/* Exhausts the stack of the thread that calls it. */
int dive(int depth);

int dive(int depth) {
    volatile char room[1024];
    room[0] = (char)depth;
    return dive(depth + 1) + room[0];
}
