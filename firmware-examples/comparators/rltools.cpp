// RLtools' multilayer perceptron, by the path it optimised for Arm, and its gated recurrent unit with a dense head.
#include "harness.h"

#include <rl_tools/operations/arm.h>

#include <rl_tools/nn/layers/standardize/operations_generic.h>
#include <rl_tools/nn/layers/dense/operations_arm/opt.h>
#include <rl_tools/nn/layers/gru/operations_generic.h>
#include <rl_tools/nn_models/mlp/operations_generic.h>

namespace rlt = rl_tools;

using DEVICE = rlt::devices::DefaultARM;
using TI = DEVICE::index_t;
using POLICY = rlt::numeric_types::Policy<float>;
using CAPABILITY = rlt::nn::capability::Forward<false>;
using Activation = rlt::nn::activation_functions::ActivationFunction;

#ifndef HIDDEN
#define HIDDEN TANH
#endif

#if defined(SINE)
constexpr TI INPUTS = 1, WIDTH = 16, OUTPUTS = 1;
#elif defined(GRU)
constexpr TI INPUTS = 13, WIDTH = 32, OUTPUTS = 4;
#else
constexpr TI INPUTS = 13, WIDTH = 64, OUTPUTS = 4;
#endif

extern "C" {
extern const int observations = INPUTS;
}

static DEVICE device;
static DEVICE::SPEC::RANDOM::ENGINE<> rng;
static rlt::Matrix<rlt::matrix::Specification<float, TI, 1, OUTPUTS, false>> output;

// Every parameter of a static layer lies in one of these.
template <typename TENSOR>
static void fill(TENSOR &tensor, float scale) {
    for (auto &value : tensor._data) value = scale * number();
}

template <typename LAYER>
static void fill_dense(LAYER &layer) {
    fill(layer.weights.parameters, 0.3f);
    fill(layer.biases.parameters, 0.5f);
}

#ifdef GRU

// A long sequence: at its end a step would reset the state by itself.
using GRU_SHAPE = rlt::tensor::Shape<TI, 1000, 1, INPUTS>;
using GRU_LAYER = rlt::nn::layers::gru::Layer<rlt::nn::layers::gru::Configuration<POLICY, TI, WIDTH>, CAPABILITY, GRU_SHAPE>;
using HEAD_SHAPE = rlt::tensor::Shape<TI, 1, 1, WIDTH>;
using HEAD = rlt::nn::layers::dense::Layer<rlt::nn::layers::dense::Configuration<POLICY, TI, OUTPUTS, Activation::IDENTITY>, CAPABILITY, HEAD_SHAPE>;

static GRU_LAYER unit;
static GRU_LAYER::Buffer<false> buffer;
static GRU_LAYER::State<false> state;
static HEAD head;
static rlt::nn::layers::dense::Buffer head_buffer;
static rlt::Tensor<rlt::tensor::Specification<float, TI, rlt::tensor::Shape<TI, 1, INPUTS>, false>> input;
// By a pointer, not by value: the step writes its output to a copy of the tensor it is given.
static float hidden_values[WIDTH];
static rlt::Tensor<rlt::tensor::Specification<float, TI, rlt::tensor::Shape<TI, 1, WIDTH>, true>> hidden;

void prepare() {
    fill(unit.weights_input.parameters, 0.3f);
    fill(unit.biases_input.parameters, 0.5f);
    fill(unit.weights_hidden.parameters, 0.3f);
    fill(unit.biases_hidden.parameters, 0.5f);
    fill(unit.initial_hidden_state.parameters, 0.0f);
    fill_dense(head);
    hidden._data = hidden_values;
    rlt::reset(device, unit, state, rng);
}

int act(const float *observation) {
    for (TI i = 0; i < INPUTS; i++) rlt::set(device, input, observation[i], 0, i);
    rlt::evaluate_step(device, unit, input, state, hidden, buffer, rng);
#ifndef STEP_ALONE
    auto head_input = rlt::matrix_view(device, hidden);
    rlt::evaluate(device, head, head_input, output, head_buffer, rng);
#else
    output._data[0] = hidden_values[0];
#endif
    return greedy(output._data, OUTPUTS);
}

#else

using SHAPE = rlt::tensor::Shape<TI, 1, 1, INPUTS>;
using CONFIGURATION = rlt::nn_models::mlp::Configuration<POLICY, TI, OUTPUTS, 3, WIDTH, Activation::HIDDEN, Activation::IDENTITY>;
using MODEL = rlt::nn_models::mlp::NeuralNetwork<CONFIGURATION, CAPABILITY, SHAPE>;

static MODEL model;
static MODEL::Buffer<false> buffer;

void prepare() {
    fill_dense(model.input_layer);
    fill_dense(model.hidden_layers[0]);
    fill_dense(model.output_layer);
}

int act(const float *observation) {
    rlt::Matrix<rlt::matrix::Specification<float, TI, 1, INPUTS, true, rlt::matrix::layouts::RowMajorAlignment<TI, 1>>> input;
    input._data = const_cast<float *>(observation);
    rlt::evaluate(device, model, input, output, buffer, rng);
    return greedy(output._data, OUTPUTS);
}

#endif
