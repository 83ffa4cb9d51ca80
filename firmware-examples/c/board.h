/* What the program needs of a board: a way to print and a way to end. */
#ifndef BOARD_H
#define BOARD_H

void board_print(const char *text);
void board_exit(int status) __attribute__((noreturn));

#endif
