/* The sweep of path_sweep.py over the linear regions of each row's path.
 *
 * A row's path z(a) = start + a (end - start), a in [0, 1], runs through the
 * pre-activations z of the first hidden layer. All pre-activations above are
 * piecewise linear in a; their slopes in a are called speeds here. The sweep
 * goes from one passage of a unit through a kink of its activation to the next.
 * Let unit j of layer l pass, and let its activation's slope change by c:
 *
 *   u      = the change of each layer above for a change of j's output:
 *            row j of the kernel, then, layer by layer, the slopes of the
 *            activations times that, times the next kernel;
 *   speeds of the layers above += c * (speed of j) * u;
 *   the gradient with respect to j's output, integrated up to now, is the sum
 *   over the layers above of u . closed, and for the top layer u . sums;
 *   closed[j] -= c * that gradient.
 *
 * The integral up to now of the gradient with respect to j's pre-activation is
 * closed[j] + (slope of j) * (that of the gradient with respect to j's output):
 * while the slope is constant the latter grows by itself, and when it changes
 * `closed` makes up for it. So one vector u serves both the forward and the
 * backward pass, and nothing is stored per region.
 *
 * A unit may rest on a kink along a stretch of the path: a unit of a layer
 * above does where all units below it are off and its bias is zero. Its slope
 * is then that of the kink itself, which is the slope left or right of it.
 * Rounding would move such a unit to either side, so kinks are shifted a
 * little, by more than rounding and away from the side that counts: see
 * set_kinks.
 *
 * The top layer has no passages. For logits it is the last hidden layer: a
 * region in which its pre-activations are linear needs only the time that each
 * unit spends above its kinks. For other outputs it is the logits: see Output.
 *
 * Plain C with vector extensions of GCC and Clang, without Python.h:
 * path_sweep.py checks the arguments and calls it by ctypes.
 */

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* To be raised, here and in path_sweep.py, with every change of the interface
 * between the two. */
#ifndef INTERFACE
#define INTERFACE 2
#endif

#define INLINE static inline __attribute__((always_inline))

/* A time after the end of every path. */
#define NEVER 2.0

/* Rounding of pre-activations, as a share of their size: a hundred
 * roundings. */
#define ROUNDING 0x1p-47

/* Numbers in the widest vector, 64 bytes, to which all arrays are padded. */
#define WIDEST 8
#define PADDED(size) (((size) + WIDEST - 1) & ~(int64_t)(WIDEST - 1))

/* The modes of the sweep. */
enum Output {
  /* Integrates logits. */
  LOGITS = 0,
  /* Records the logits at the ends of each region. */
  RECORD = 1,
  /* Integrates an output whose integrated gradient with respect to the logits
   * is given for each region that RECORD found. */
  REPLAY = 2,
};

typedef struct {
  int64_t output;
  int64_t num_rows;
  /* From one row's start to the next; 0 if all rows share one. */
  int64_t start_stride;
  int64_t num_layers;
  int64_t num_targets;
  /* Of each layer, the top one included. */
  const int64_t *units, *num_kinks;
  /* Of one layer after the other: kinks, in rising order; for each kink 1 if
   * the slope on it is the one left of it, -1 if it is the one right of it; and
   * one slope more than kinks. */
  const double *kinks, *kink_sides, *piece_slopes;
  /* Of each layer but the top: kernel [units, PADDED(next units)], bias
   * [PADDED(next units)], and reach [PADDED(next units)], the norms of the
   * weights that lead to each unit, times the largest slope below. */
  const double *layers;
  /* LOGITS: d logit / d output of the top layer. One target: [classes,
   * PADDED(units)]. More: [PADDED(units)] of ones, then [units,
   * PADDED(targets)]. */
  const double *weights;
  /* [num_rows], a row of `weights` each; NULL for the first. */
  const int64_t *targets;
  /* RECORD: [capacity, 2, units] and [capacity], the logits at both ends and
   * the length of each region, one row after the other. Regions beyond the
   * capacity are counted, but not recorded. */
  int64_t capacity;
  double *ends, *steps;
  /* REPLAY: [capacity, PADDED(units)]. */
  const double *region_weights;
  /* NULL, or [num_rows, num_targets], as rounding.of_path defines it. */
  double *noise;
  /* The least distance of two kinks of an activation. */
  double span;
} Problem;

typedef struct {
  int64_t units, width, next_width, num_kinks;
  const double *kinks, *kink_sides, *piece_slopes, *kernel, *bias, *reach;
  /* [width]: pre-activations at the time `since`, their speeds, the slopes of
   * the activations, the kinks below and above, the times of the next
   * passages, and space for factors of a product. */
  double *z, *speed, *slopes, *low, *high, *times, *factors;
  /* [num_kinks, width]: the shifted kinks of each unit. */
  double *shifted;
  /* [NUM_EVENTS, width]: u of each event, unless it is a row of a kernel; of
   * the top layer [NUM_PRODUCTS, width]. */
  double *u;
  /* [width, targets] */
  double *closed;
  /* Piece of the activation of each unit; the units whose slope is not zero,
   * in any order, and where each stands among them. */
  int32_t *piece, *on, *place;
  int64_t num_on;
  double since, next;
} Layer;

/* Passages of the first layer, and space for sorting them. */
typedef struct {
  double *times, *spare;
  int32_t *units, *spare_units;
  int64_t *ends;
} Passages;

/* The number of passages that are sorted by counting: found by trial. */
#define PASSAGES_PER_PART 64

/* A passage that the layers below the top one have seen. */
typedef struct {
  int64_t layer, unit;
  /* The part of the path between the previous event and this one. */
  double step;
  /* The change of the slope of the unit's activation, and that times the unit's
   * speed. */
  double jump, change;
} Event;

/* The top layer does not influence when units pass, so it may process several
 * events at once. The kernel below it, which is most of what is read where
 * there are many units, is then read once for NUM_PRODUCTS of them. */
#define NUM_EVENTS 16
#define NUM_PRODUCTS 4

typedef struct {
  Layer *layers;
  Passages passages;
  Event events[NUM_EVENTS];
  int64_t num_events, num_products;
  /* [NUM_EVENTS, num_layers]: where u of each layer above is. */
  const double **u;
  /* [NUM_PRODUCTS, width] of the layer below the top one: slopes times u. */
  double *factors;
  /* num_targets, padded if there is more than one. */
  int64_t targets;
  /* Of the top layer: times multiplied by weights for LOGITS of one target,
   * times alone for several; [width, targets] for REPLAY. */
  double *sums;
  double *gradient;
  /* The number of regions of all rows so far. */
  int64_t num_regions;
} Workspace;

/* Returns when a unit passes the kink that it moves to. */
INLINE double passage(double low, double high, double z, double speed,
                      double since) {
  const double ahead = ((speed > 0 ? high : low) - z) / speed;
  /* NaN, which comes from broken weights, is never. */
  return speed != 0 && ahead < NEVER ? since + (ahead > 0 ? ahead : 0) : NEVER;
}

/* Returns the layer's activation, a continuous function that is zero at
 * zero. */
INLINE double activation(const Layer *layer, double z) {
  double value = layer->piece_slopes[0] * z;
  for (int64_t i = 0; i < layer->num_kinks; i++) {
    const double kink = layer->kinks[i];
    const double jump = layer->piece_slopes[i + 1] - layer->piece_slopes[i];
    value += jump * ((z > kink ? z - kink : 0) - (kink < 0 ? -kink : 0));
  }
  return value;
}

INLINE void set_piece(Layer *layer, int64_t unit, int32_t piece) {
  layer->piece[unit] = piece;
  layer->low[unit] =
      piece ? layer->shifted[(piece - 1) * layer->width + unit] : -INFINITY;
  layer->high[unit] = piece < layer->num_kinks
                          ? layer->shifted[piece * layer->width + unit]
                          : INFINITY;
}

INLINE void set_slope(Layer *layer, int64_t unit, double slope) {
  if (slope != 0 && layer->slopes[unit] == 0) {
    layer->place[unit] = (int32_t)layer->num_on;
    layer->on[layer->num_on++] = (int32_t)unit;
  } else if (slope == 0 && layer->slopes[unit] != 0) {
    const int32_t moved = layer->on[--layer->num_on];
    layer->on[layer->place[unit]] = moved;
    layer->place[moved] = layer->place[unit];
  }
  layer->slopes[unit] = slope;
}

/* The body, for each instruction set that the processor may have. */
#define VECTOR_BYTES 16
#define FN(name) name##_16
#include "path_sweep_body.h"
#undef VECTOR_BYTES
#undef FN

/* Clang does not have this pragma. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define HAS_WIDER_VECTORS 1

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define VECTOR_BYTES 32
#define FN(name) name##_32
#include "path_sweep_body.h"
#undef VECTOR_BYTES
#undef FN
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,fma,prefer-vector-width=512")
#define VECTOR_BYTES 64
#define FN(name) name##_64
#include "path_sweep_body.h"
#undef VECTOR_BYTES
#undef FN
#pragma GCC pop_options
#endif

int path_sweep_interface(void) { return INTERFACE; }

/* Lets path_sweep.py notice another struct although INTERFACE was not
 * raised. */
int path_sweep_problem_bytes(void) { return sizeof(Problem); }

/* Returns the bytes of the widest vectors that the processor has. */
int path_sweep_vector_bytes(void) {
#ifdef HAS_WIDER_VECTORS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return 64;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return 32;
#endif
  return 16;
}

/* Returns the place of `count` items of `size` bytes at `*at`, and advances
 * that. Starting from NULL, this counts the bytes that are needed. */
static void *take(char **at, int64_t count, int64_t size) {
  char *result = *at;
  *at += (count * size + 63) & ~(int64_t)63;
  return result;
}

/* Lays out a workspace at `memory`; returns the bytes that it needs. */
static int64_t lay_out(const Problem *problem, Workspace *space,
                       Layer *layers, char *memory) {
  const int64_t num = problem->num_layers;
  const int64_t targets =
      problem->num_targets == 1 ? 1 : PADDED(problem->num_targets);
  const double *kinks = problem->kinks, *slopes = problem->piece_slopes;
  const double *sides = problem->kink_sides;
  const double *weights = problem->layers;
  char *at = memory;
  space->layers = layers;
  space->targets = targets;
  space->num_regions = space->num_events = space->num_products = 0;
  for (int64_t l = 0; l < num; l++) {
    Layer *layer = &layers[l];
    const int64_t width = PADDED(problem->units[l]);
    layer->units = problem->units[l];
    layer->width = width;
    layer->num_kinks = problem->num_kinks[l];
    layer->kinks = kinks;
    layer->kink_sides = sides;
    layer->piece_slopes = slopes;
    kinks += layer->num_kinks;
    sides += layer->num_kinks;
    slopes += layer->num_kinks + 1;
    layer->next_width = 0;
    if (l + 1 < num) {
      layer->next_width = PADDED(problem->units[l + 1]);
      layer->kernel = weights;
      layer->bias = weights + layer->units * layer->next_width;
      layer->reach = layer->bias + layer->next_width;
      weights = layer->reach + layer->next_width;
    }
    double **doubles[] = {&layer->z,    &layer->speed, &layer->slopes,
                          &layer->low,  &layer->high,  &layer->times,
                          &layer->factors};
    for (size_t i = 0; i < sizeof(doubles) / sizeof(*doubles); i++)
      *doubles[i] = take(&at, width, sizeof(double));
    layer->shifted = take(&at, layer->num_kinks * width, sizeof(double));
    layer->u = take(&at, NUM_EVENTS * width, sizeof(double));
    layer->closed = take(&at, width * targets, sizeof(double));
    layer->piece = take(&at, width, sizeof(int32_t));
    layer->on = take(&at, width, sizeof(int32_t));
    layer->place = take(&at, width, sizeof(int32_t));
  }
  /* One more, since units that do not pass are written before they are
   * dropped. */
  const int64_t most = PADDED(layers[0].units * layers[0].num_kinks + 1);
  space->passages.times = take(&at, most, sizeof(double));
  space->passages.spare = take(&at, most, sizeof(double));
  space->passages.units = take(&at, most, sizeof(int32_t));
  space->passages.spare_units = take(&at, most, sizeof(int32_t));
  space->passages.ends =
      take(&at, most / PASSAGES_PER_PART + 2, sizeof(int64_t));
  space->sums = take(&at, layers[num - 1].width * targets, sizeof(double));
  space->gradient = take(&at, targets, sizeof(double));
  space->u = take(&at, NUM_EVENTS * num, sizeof(double *));
  space->factors =
      take(&at, NUM_PRODUCTS * layers[num > 1 ? num - 2 : 0].width,
           sizeof(double));
  return at - memory;
}

/* Integrates the gradients of all rows.
 *
 * Args:
 *   problem: the network and the mode, see Problem.
 *   start, end: [1 or num_rows, units] and [num_rows, units], the first
 *     layer's pre-activations at both ends of the paths.
 *   vector_bytes: at most what path_sweep_vector_bytes returns.
 *   integrals: [num_rows, num_targets, units], with respect to the first
 *     layer's pre-activations; not touched by RECORD.
 *   num_regions: [num_rows], the number of regions of positive length.
 *
 * Returns 0, or 1 if there is not enough memory.
 */
int path_sweep_integrate(const Problem *problem, const double *start,
                         const double *end, int vector_bytes,
                         double *integrals, int64_t *num_regions) {
  Workspace space;
  Layer *layers = calloc((size_t)problem->num_layers, sizeof(Layer));
  if (!layers) return 1;
  const int64_t size = lay_out(problem, &space, layers, NULL);
  char *memory = calloc(1, (size_t)size + 63);
  if (!memory) {
    free(layers);
    return 1;
  }
  lay_out(problem, &space, layers,
          (char *)(((uintptr_t)memory + 63) & ~(uintptr_t)63));
  switch (vector_bytes) {
#ifdef HAS_WIDER_VECTORS
    case 64:
      integrate_64(problem, &space, start, end, integrals, num_regions);
      break;
    case 32:
      integrate_32(problem, &space, start, end, integrals, num_regions);
      break;
#endif
    default:
      integrate_16(problem, &space, start, end, integrals, num_regions);
  }
  free(memory);
  free(layers);
  return 0;
}
