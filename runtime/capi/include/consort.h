/*
 * consort.h: acts from one agent's policy image, in C99 or C++.
 *
 * Link the static library `libconsort_c.a` of the crate `consort-c`. It allocates nothing, does not panic, has no state of its own
 * and calls nothing but memcpy, memmove, memset, memcmp and the functions you give it; so it can be called from any task, and from
 * several at once where each has a policy and a memory of its own. `docs/c.md` shows how to build it and a whole program.
 *
 * Every function that can fail returns a status, 0 for success. After an error
 *   - the state in `memory` is what it was before the call;
 *   - what a result would have been written to is untouched: put the action that is safe for your machine there first, and it is
 *     what you have.
 *
 * Pointers: null, misaligned and overlapping ones are refused, and so are values that are not finite. That a pointer leads to as
 * many values as you say is your promise.
 */
#ifndef CONSORT_H
#define CONSORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call came to: one of the constants below. */
typedef int32_t consort_status_t;

#define CONSORT_OK 0
#define CONSORT_ERR_NULL 1               /* a pointer is null */
#define CONSORT_ERR_ALIGNMENT 2          /* a pointer is not aligned for what it points to */
#define CONSORT_ERR_LENGTH 3             /* a length is larger than any object */
#define CONSORT_ERR_OVERLAP 4            /* the memory overlaps the policy, its image, the observation or the mask */
#define CONSORT_ERR_HANDLE 5             /* the policy was not initialised, or its image was refused */
#define CONSORT_ERR_IMAGE_MAGIC 16       /* the image does not start like one */
#define CONSORT_ERR_IMAGE_VERSION 17     /* the image is of another format version */
#define CONSORT_ERR_IMAGE_LENGTH 18      /* the image does not have the length it says */
#define CONSORT_ERR_IMAGE_CHECKSUM 19    /* the image is damaged: its checksum does not fit */
#define CONSORT_ERR_IMAGE_ALIGNMENT 20   /* the image does not lie at a multiple of 4 */
#define CONSORT_ERR_IMAGE_UNKNOWN 21     /* a layer, an activation or a head that this build does not know */
#define CONSORT_ERR_IMAGE_MALFORMED 22   /* the image contradicts itself */
#define CONSORT_ERR_IMAGE_UNSIGNED 23    /* the image is not signed */
#define CONSORT_ERR_IMAGE_SIGNATURE 24   /* the image's signature does not fit */
#define CONSORT_ERR_OBSERVATION_LENGTH 32 /* the observation does not have the policy's length */
#define CONSORT_ERR_OBSERVATION_VALUE 33 /* a value of the observation is infinite or not a number */
#define CONSORT_ERR_MEMORY_LENGTH 34     /* the memory is shorter than the policy needs */
#define CONSORT_ERR_STATE_VALUE 35       /* the state is not finite: it was not reset, or was changed */
#define CONSORT_ERR_OVERFLOW 36          /* an output or a state overflowed: an observation out of all proportion */
#define CONSORT_ERR_MASK_LENGTH 37       /* the mask does not have a value for each action */
#define CONSORT_ERR_MASK_VALUE 38        /* a value of the mask is neither 0 nor 1 */
#define CONSORT_ERR_MASK_EMPTY 39        /* the mask allows no action */
#define CONSORT_ERR_KIND 40              /* a vector was asked of a policy that gives numbers, or the other way round */
#define CONSORT_ERR_OUTPUT_LENGTH 41     /* the place for the result does not have the policy's output length */
#define CONSORT_ERR_SYMBOL 42            /* the observation does not end with a symbol of the shared seed, one-hot */
#define CONSORT_ERR_PACE 48              /* the step came earlier or later than the training period allows */

/* What a status means, in English; never null, valid for ever. */
const char *consort_status_string(consort_status_t status);

/* A checked image. In memory of yours: static, on a stack, on a heap. Its contents are nobody's business. */
#define CONSORT_POLICY_WORDS 160
typedef struct consort_policy {
    uintptr_t opaque[CONSORT_POLICY_WORDS];
} consort_policy_t;

/*
 * Checks the image and initialises `policy` with it: once, at boot; it reads every byte. Nothing acts from an image that was refused.
 * `image` must lie at a multiple of 4, better 16, and stay where and as it is for as long as the policy is used: in flash, usually.
 */
consort_status_t consort_policy_init(consort_policy_t *policy, const void *image, size_t image_len);

/* Whether `signature`, 64 bytes, is the key holder's of exactly `message`; false where that cannot be told. */
typedef bool (*consort_verify_t)(void *context, const uint8_t *message, size_t message_len, const uint8_t *signature);

/* Like consort_policy_init, for images that `verify(context, ...)` accepts: in software, or by asking hardware. */
consort_status_t consort_policy_init_verified(consort_policy_t *policy, const void *image, size_t image_len,
                                              consort_verify_t verify, void *context);

/* A consort_verify_t for Ed25519 in software; the context is the public key, 32 bytes, as `consort keygen` writes it. */
bool consort_verify_ed25519(void *public_key, const uint8_t *message, size_t message_len, const uint8_t *signature);

/* What the image says. */
typedef struct consort_info {
    uint8_t team[16];         /* the same for all images of a team */
    uint16_t agent;           /* this agent's index in its team */
    uint16_t agents;          /* in the team */
    uint32_t revision;        /* counts up with every image released for the team */
    uint32_t period_us;       /* the time between two steps in training; 0 where the task is not periodic */
    uint32_t observation_len; /* values in an observation */
    uint32_t output_len;      /* actions to choose between, or dimensions of an action's vector */
    uint32_t memory_len;      /* floats of memory that a step needs */
    uint32_t state_len;       /* how many of them, the first ones, are kept from step to step */
    uint32_t continuous;      /* 1 where actions are vectors, 0 where they are numbers */
    uint32_t has_signature;   /* 1 where the image carries a signature, checked or not */
} consort_info_t;

consort_status_t consort_policy_info(const consort_policy_t *policy, consort_info_t *info);

/*
 * Begins an episode: the state, the first `state_len` floats of the memory, becomes 0. Call it before the first step, and give the
 * same memory to every step of the episode.
 */
consort_status_t consort_reset(const consort_policy_t *policy, float *memory, size_t memory_len);

/* The next 32 random bits. The same bits give the same actions on every machine. */
typedef uint32_t (*consort_random_t)(void *context);

/* Policies whose actions are numbers, counted from 0: the best action, or one drawn with the policy's probabilities. */
consort_status_t consort_act_greedy(const consort_policy_t *policy, const float *observation, size_t observation_len,
                                    float *memory, size_t memory_len, uint32_t *action);
consort_status_t consort_act_sampled(const consort_policy_t *policy, const float *observation, size_t observation_len,
                                     float *memory, size_t memory_len, consort_random_t random, void *context,
                                     uint32_t *action);

/* The same among the actions that `mask` allows: a byte an action, 1 allowed, 0 forbidden. */
consort_status_t consort_act_greedy_masked(const consort_policy_t *policy, const float *observation,
                                           size_t observation_len, const uint8_t *mask, size_t mask_len, float *memory,
                                           size_t memory_len, uint32_t *action);
consort_status_t consort_act_sampled_masked(const consort_policy_t *policy, const float *observation,
                                            size_t observation_len, const uint8_t *mask, size_t mask_len, float *memory,
                                            size_t memory_len, consort_random_t random, void *context,
                                            uint32_t *action);

/* Policies whose actions are vectors, `output_len` floats: without chance, or drawn. */
consort_status_t consort_step(const consort_policy_t *policy, const float *observation, size_t observation_len,
                              float *memory, size_t memory_len, float *action, size_t action_len);
consort_status_t consort_step_sampled(const consort_policy_t *policy, const float *observation, size_t observation_len,
                                      float *memory, size_t memory_len, consort_random_t random, void *context,
                                      float *action, size_t action_len);

/* A step of any policy that gives what its last layer does, `output_len` floats: logits, means or values. */
consort_status_t consort_outputs(const consort_policy_t *policy, const float *observation, size_t observation_len,
                                 float *memory, size_t memory_len, float *outputs, size_t outputs_len);

/*
 * Whether steps come at the rate of training. At another, a policy's actions are wrong, and nothing in them shows it.
 * Call consort_pace_tick at every step with a clock in microseconds that wraps at 2^32; it returns CONSORT_ERR_PACE when the time
 * since the last step, which it writes to `measured_us` unless that is null, is further from the period than `permille` thousandths.
 */
typedef struct consort_pace {
    uint32_t period_us;
    uint32_t permille;
    uint32_t last_us;
    uint32_t running;
} consort_pace_t;

consort_status_t consort_pace_init(consort_pace_t *pace, const consort_policy_t *policy, uint16_t permille);
consort_status_t consort_pace_tick(consort_pace_t *pace, uint32_t now_us, uint32_t *measured_us);

#ifdef __cplusplus
}
#endif

#endif
