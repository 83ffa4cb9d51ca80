// Counts another system's inference as the replay app counts ours: SysTick under -icount around each step, from an
// observation to an action, less the cost of reading the timer; calibrated by a loop of known length.
//
// A comparator defines the three below.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

#include <stdint.h>

// Values of an observation.
extern const int observations;
// Fills the network with weights from `number`.
void prepare(void);
// One inference, with the state carried where there is one: the action, or 0 where the output is a value.
int act(const float *observation);

// A number between -1 and 1, of a linear congruential generator.
float number(void);

// The first largest.
static inline int greedy(const float *logits, int count) {
    int best = 0;
    for (int i = 1; i < count; i++) {
        if (logits[i] > logits[best]) best = i;
    }
    return best;
}

#ifdef __cplusplus
}
#endif
