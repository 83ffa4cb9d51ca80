// emlearn's float network (eml_net.h), weights laid out as its generator does: [inputs][outputs].
#include "harness.h"

#include <eml_net.h>

#if defined(SINE)
enum { INPUTS = 1, WIDTH = 16, OUTPUTS = 1 };
#define HIDDEN EmlNetActivationRelu
#else
enum { INPUTS = 13, WIDTH = 64, OUTPUTS = 4 };
#define HIDDEN EmlNetActivationTanh
#endif

const int observations = INPUTS;

static float weights_0[INPUTS * WIDTH], weights_1[WIDTH * WIDTH], weights_2[WIDTH * OUTPUTS];
static float biases_0[WIDTH], biases_1[WIDTH], biases_2[OUTPUTS];
static float activations[2][WIDTH];

static const EmlNetLayer layers[] = {
    {WIDTH, INPUTS, weights_0, biases_0, HIDDEN},
    {WIDTH, WIDTH, weights_1, biases_1, HIDDEN},
    {OUTPUTS, WIDTH, weights_2, biases_2, EmlNetActivationIdentity},
};
static EmlNet net = {3, layers, activations[0], activations[1], WIDTH};

static void fill(float *values, int count, float scale) {
    for (int i = 0; i < count; i++) values[i] = scale * number();
}

void prepare(void) {
    fill(weights_0, INPUTS * WIDTH, 0.4f);
    fill(weights_1, WIDTH * WIDTH, 0.2f);
    fill(weights_2, WIDTH * OUTPUTS, 0.2f);
    fill(biases_0, WIDTH, 0.5f);
    fill(biases_1, WIDTH, 0.5f);
    fill(biases_2, OUTPUTS, 0.5f);
}

int act(const float *observation) {
    if (eml_net_infer(&net, observation, INPUTS) != EmlOk) return -1;
    return greedy(net.activations2, OUTPUTS);
}
