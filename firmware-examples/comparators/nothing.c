// The harness alone: subtracted from a comparator's code to give its own.
#include "harness.h"

const int observations = 13;
static float sum;

void prepare(void) { sum = number(); }

int act(const float *observation) {
    sum += observation[0];
    return sum > 0.0f;
}
