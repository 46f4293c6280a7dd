/* The part of path_sweep.c that is compiled for vectors of VECTOR_BYTES, once
 * for each instruction set. FN(name) is the name of a function for it.
 *
 * Arrays are aligned to the widest vectors and padded with zeros to whole ones:
 * a unit of the padding has a kernel of zeros, does not move and passes no kink.
 */

typedef double FN(Vector) __attribute__((vector_size(VECTOR_BYTES), may_alias));
#define VECTOR FN(Vector)
#define LANES ((int64_t)(VECTOR_BYTES / sizeof(double)))
/* Vectors of NUM_PRODUCTS sums that stay in registers. */
#define TILE (VECTOR_BYTES == 64 ? 4 : 2)

INLINE double FN(dot)(const double *a, const double *b, int64_t size) {
  const VECTOR *x = (const VECTOR *)a, *y = (const VECTOR *)b;
  VECTOR even = {0}, odd = {0};
  double sum = 0, other = 0;
  int64_t i = 0;
  /* Two sums, so that they do not wait for each other. */
  for (; i + 2 <= size / LANES; i += 2) {
    even += x[i] * y[i];
    odd += x[i + 1] * y[i + 1];
  }
  if (i < size / LANES) even += x[i] * y[i];
  even += odd;
  for (i = 0; i < LANES; i += 2) {
    sum += even[i];
    other += even[i + 1];
  }
  return sum + other;
}

/* to += factor * from */
INLINE void FN(add)(double *to, double factor, const double *from,
                    int64_t size) {
  VECTOR *y = (VECTOR *)to;
  const VECTOR *x = (const VECTOR *)from;
  for (int64_t i = 0; i < size / LANES; i++) y[i] += factor * x[i];
}

/* to += sum over i of factors[i] * matrix[rows[i]], with rows of `size`; NULL
 * for rows is 0, 1, 2, ... */
INLINE void FN(add_product)(double *to, const double *factors,
                            const int32_t *rows, int64_t num_rows,
                            const double *matrix, int64_t size) {
  const int64_t width = size / LANES;
  const VECTOR *all = (const VECTOR *)matrix;
  VECTOR *out = (VECTOR *)to;
  int64_t c = 0;
  /* Two rows by four vectors at a time: the sums stay in registers, and there
   * are enough of them not to wait for each other. */
  for (; c + 4 <= width; c += 4) {
    VECTOR a0 = out[c], a1 = out[c + 1], a2 = out[c + 2], a3 = out[c + 3];
    VECTOR b0 = {0}, b1 = {0}, b2 = {0}, b3 = {0};
    int64_t i = 0;
    for (; i + 2 <= num_rows; i += 2) {
      const VECTOR *x = all + (rows ? rows[i] : i) * width + c;
      const VECTOR *y = all + (rows ? rows[i + 1] : i + 1) * width + c;
      const double f = factors[i], g = factors[i + 1];
      a0 += f * x[0];
      a1 += f * x[1];
      a2 += f * x[2];
      a3 += f * x[3];
      b0 += g * y[0];
      b1 += g * y[1];
      b2 += g * y[2];
      b3 += g * y[3];
    }
    if (i < num_rows) {
      const VECTOR *x = all + (rows ? rows[i] : i) * width + c;
      const double f = factors[i];
      a0 += f * x[0];
      a1 += f * x[1];
      a2 += f * x[2];
      a3 += f * x[3];
    }
    out[c] = a0 + b0;
    out[c + 1] = a1 + b1;
    out[c + 2] = a2 + b2;
    out[c + 3] = a3 + b3;
  }
  for (; c < width; c++) {
    VECTOR a = out[c], b = {0};
    int64_t i = 0;
    for (; i + 2 <= num_rows; i += 2) {
      a += factors[i] * all[(rows ? rows[i] : i) * width + c];
      b += factors[i + 1] * all[(rows ? rows[i + 1] : i + 1) * width + c];
    }
    if (i < num_rows) a += factors[i] * all[(rows ? rows[i] : i) * width + c];
    out[c] = a + b;
  }
}

/* The same for NUM_PRODUCTS products at once, with factors[rows[i]]: to
 * [NUM_PRODUCTS, size], factors [NUM_PRODUCTS, stride]. */
INLINE void FN(add_products)(double *to, const double *factors, int64_t stride,
                             const int32_t *rows, int64_t num_rows,
                             const double *matrix, int64_t size) {
  const int64_t width = size / LANES;
  const VECTOR *all = (const VECTOR *)matrix;
  VECTOR *out = (VECTOR *)to;
  int64_t c = 0;
  for (; c + TILE <= width; c += TILE) {
    VECTOR sums[NUM_PRODUCTS][TILE];
    for (int p = 0; p < NUM_PRODUCTS; p++)
      for (int v = 0; v < TILE; v++) sums[p][v] = out[p * width + c + v];
    for (int64_t i = 0; i < num_rows; i++) {
      const VECTOR *row = all + rows[i] * width + c;
      for (int p = 0; p < NUM_PRODUCTS; p++)
        for (int v = 0; v < TILE; v++)
          sums[p][v] += factors[p * stride + rows[i]] * row[v];
    }
    for (int p = 0; p < NUM_PRODUCTS; p++)
      for (int v = 0; v < TILE; v++) out[p * width + c + v] = sums[p][v];
  }
  for (; c < width; c++)
    for (int p = 0; p < NUM_PRODUCTS; p++)
      for (int64_t i = 0; i < num_rows; i++)
        out[p * width + c] +=
            factors[p * stride + rows[i]] * all[rows[i] * width + c];
}

/* to [targets] += sum over k of factors[k] * matrix[k], a matrix of [units,
 * targets]. */
INLINE void FN(add_targets)(double *to, const double *factors,
                            const double *matrix, int64_t units, int64_t width,
                            int64_t targets) {
  if (targets == 1)
    to[0] += FN(dot)(factors, matrix, width);
  else
    FN(add_product)(to, factors, NULL, units, matrix, targets);
}

/* to = the change of the next layer that a change `from` of a layer causes. */
INLINE void FN(push)(double *to, const Layer *layer, const double *from) {
  double *factors = layer->factors;
  for (int64_t i = 0; i < layer->num_on; i++)
    factors[i] = layer->slopes[layer->on[i]] * from[layer->on[i]];
  memset(to, 0, (size_t)layer->next_width * sizeof(double));
  FN(add_product)(to, factors, layer->on, layer->num_on, layer->kernel,
                  layer->next_width);
}

/* Computes u of the top layer for the events that need a product for it. */
INLINE void FN(push_all)(Workspace *space, const Layer *layer, Layer *last) {
  /* A unit that is off now may have been on at an event. */
  int32_t off[NUM_EVENTS];
  int64_t num_off = 0;
  for (int64_t e = 0; e < space->num_events; e++) {
    const int64_t unit = space->events[e].unit;
    if (&space->layers[space->events[e].layer] != layer ||
        layer->slopes[unit] != 0)
      continue;
    int64_t i = 0;
    while (i < num_off && off[i] != unit) i++;
    off[i] = (int32_t)unit;
    num_off += i == num_off;
  }
  const int64_t size = last->width;
  memset(last->u, 0, (size_t)(NUM_PRODUCTS * size) * sizeof(double));
  FN(add_products)(last->u, space->factors, layer->width, layer->on,
                   layer->num_on, layer->kernel, size);
  FN(add_products)(last->u, space->factors, layer->width, off, num_off,
                   layer->kernel, size);
}

/* Squares of the length of a row's path and of the norm of its farther end. */
typedef struct {
  double moved, size;
} FN(Lengths);

INLINE FN(Lengths) FN(lengths)(const Layer *first) {
  FN(Lengths) lengths;
  const double start = FN(dot)(first->z, first->z, first->width);
  const double product = FN(dot)(first->z, first->speed, first->width);
  lengths.moved = FN(dot)(first->speed, first->speed, first->width);
  const double end = start + 2 * product + lengths.moved;
  lengths.size = start > end ? start : end;
  return lengths;
}

/* Returns how strongly an integral reacts to rounding of its path, as
 * rounding.of_path does. */
INLINE double FN(path_noise)(const Problem *problem, const Layer *first,
                             FN(Lengths) lengths) {
  const double units = (double)first->units;
  const double most = units * problem->span * problem->span;
  const double least = units * (lengths.moved < most ? lengths.moved : most);
  int64_t turning = 1;
  for (int64_t k = 0; k < first->width; k++)
    turning += (first->z[k] > 0) != (first->z[k] + first->speed[k] > 0);
  return least > 0 ? 1 + sqrt(2 * lengths.size * (double)turning / least) : 1;
}

/* Shifts the kinks of the first layer, whose values are given exactly. */
INLINE void FN(set_first_kinks)(Layer *layer) {
  for (int64_t i = 0; i < layer->num_kinks; i++) {
    const double kink = layer->kinks[i];
    const double shift = ROUNDING * fabs(kink) + DBL_MIN;
    for (int64_t k = 0; k < layer->width; k++)
      layer->shifted[i * layer->width + k] =
          kink + layer->kink_sides[i] * shift;
  }
}

/* Shifts the kinks of the other layers by as much as rounding may move a unit:
 * a share of the norm of the weights that lead to it times that of the layer
 * below. Above the first layer the latter is estimated as for random weights;
 * it need not be exact. */
INLINE void FN(set_kinks)(const Problem *problem, Workspace *space,
                          double norm) {
  for (int64_t l = 1; l < problem->num_layers; l++) {
    const Layer *below = &space->layers[l - 1];
    Layer *layer = &space->layers[l];
    const double *restrict bias = below->bias, *restrict reach = below->reach;
    for (int64_t i = 0; i < layer->num_kinks; i++) {
      const double kink = layer->kinks[i], side = layer->kink_sides[i];
      double *restrict shifted = layer->shifted + i * layer->width;
      for (int64_t k = 0; k < layer->width; k++)
        shifted[k] = kink + side * (ROUNDING * (fabs(bias[k]) +
                                                norm * reach[k]) + DBL_MIN);
    }
    if (l + 1 == problem->num_layers) break;
    const double units = (double)(below->units ? below->units : 1);
    norm = sqrt(FN(dot)(bias, bias, layer->width)) +
           norm * sqrt(FN(dot)(reach, reach, layer->width) / units);
  }
}

/* Sets the piece of its activation on which each unit starts: for a unit on a
 * kink the one that it moves to, or if it rests, the one that counts there. */
INLINE void FN(set_out)(const Workspace *space, Layer *layer) {
  const int is_first = layer == space->layers;
  layer->num_on = 0;
  for (int64_t k = 0; k < layer->units; k++) {
    int32_t piece = 0;
    for (int64_t i = 0; i < layer->num_kinks; i++) {
      const double above = layer->z[k] - layer->kinks[i];
      const double shift =
          layer->shifted[i * layer->width + k] - layer->kinks[i];
      const double near = is_first ? 0 : fabs(shift);
      piece += above > near;
      if (fabs(above) <= near)
        piece += fabs(layer->speed[k]) > near ? layer->speed[k] > 0 : shift < 0;
    }
    set_piece(layer, k, piece);
    layer->slopes[k] = layer->piece_slopes[piece];
    layer->place[k] = (int32_t)layer->num_on;
    layer->on[layer->num_on] = (int32_t)k;
    layer->num_on += layer->slopes[k] != 0;
  }
}

INLINE double FN(least)(const double *values, int64_t size) {
  double lanes[WIDEST], result = NEVER;
  for (int64_t i = 0; i < WIDEST; i++) lanes[i] = NEVER;
  for (int64_t k = 0; k < size; k += WIDEST)
    for (int64_t i = 0; i < WIDEST; i++)
      lanes[i] = values[k + i] < lanes[i] ? values[k + i] : lanes[i];
  for (int64_t i = 0; i < WIDEST; i++)
    result = lanes[i] < result ? lanes[i] : result;
  return result;
}

/* Sets when each unit of a layer passes its next kink at its current speed. */
INLINE void FN(set_times)(Layer *layer) {
  const double *restrict speed = layer->speed, *restrict z = layer->z;
  const double *restrict low = layer->low, *restrict high = layer->high;
  double *restrict times = layer->times;
  const double since = layer->since;
  const int64_t size = PADDED(layer->units);
  for (int64_t k = 0; k < size; k++)
    times[k] = passage(low[k], high[k], z[k], speed[k], since);
  layer->next = FN(least)(times, size);
}

/* Finds when units of the first layer pass kinks; returns how many times. */
INLINE int64_t FN(find_passages)(const Layer *layer, Passages *passages) {
  const double *restrict z = layer->z, *restrict speed = layer->speed;
  double *restrict times = layer->times;
  /* The spare arrays are free until passages are sorted. */
  int32_t *restrict is_passed = passages->spare_units;
  const int64_t size = PADDED(layer->units);
  int64_t num = 0;
  for (int64_t i = 0; i < layer->num_kinks; i++) {
    const double kink = layer->kinks[i];
    for (int64_t k = 0; k < size; k++) {
      times[k] = (kink - z[k]) / speed[k];
      is_passed[k] = (times[k] > 0) & (times[k] < 1);
    }
    for (int64_t k = 0; k < layer->units; k++) {
      passages->times[num] = times[k];
      passages->units[num] = (int32_t)k;
      num += is_passed[k];
    }
  }
  return num;
}

/* Sorts passages by their times. */
INLINE void FN(sort)(Passages *passages, int64_t num) {
  /* Into equal parts of the path, and in each by counting the passages before:
   * that uses whole vectors and takes less time than a sort that branches. */
  const int64_t num_parts = num / PASSAGES_PER_PART + 1;
  double *restrict times = passages->times, *restrict spare = passages->spare;
  int32_t *restrict units = passages->units;
  int32_t *restrict spare_units = passages->spare_units;
  int64_t *restrict ends = passages->ends;
  memset(ends, 0, (size_t)(num_parts + 1) * sizeof(int64_t));
  for (int64_t i = 0; i < num; i++)
    ends[(int64_t)(times[i] * num_parts) + 1]++;
  for (int64_t p = 1; p <= num_parts; p++) ends[p] += ends[p - 1];
  for (int64_t i = 0; i < num; i++) {
    /* The start of each part becomes its end. */
    const int64_t place = ends[(int64_t)(times[i] * num_parts)]++;
    spare[place] = times[i];
    spare_units[place] = units[i];
  }
  for (int64_t p = 0; p < num_parts; p++) {
    const int64_t first = p ? ends[p - 1] : 0, end = ends[p];
    for (int64_t i = first; i < end; i++) {
      const double time = spare[i];
      int64_t rank = first;
      for (int64_t j = first; j < i; j++) rank += spare[j] <= time;
      for (int64_t j = i + 1; j < end; j++) rank += spare[j] < time;
      times[rank] = time;
      units[rank] = spare_units[i];
    }
  }
}

/* Adds the time that each unit of the top layer was on, which is the integral
 * of its activation's slope, times its weight. z is relative to the first
 * kink. */
INLINE void FN(add_times_on)(const Layer *layer, double step,
                             const double *weights, double *sums) {
  const double *restrict z = layer->z, *restrict speed = layer->speed;
  const double *restrict weight = weights;
  double *restrict sum = sums;
  const double first_slope = layer->piece_slopes[0];
  const int64_t size = PADDED(layer->units);
  if (first_slope != 0)
    for (int64_t k = 0; k < size; k++) sum[k] += weight[k] * first_slope * step;
  for (int64_t i = 0; i < layer->num_kinks; i++) {
    const double *restrict first = layer->shifted;
    const double *restrict kink = layer->shifted + i * layer->width;
    const double jump = layer->piece_slopes[i + 1] - layer->piece_slopes[i];
    for (int64_t k = 0; k < size; k++) {
      /* The time above the kink: all of it or none for a unit that rests. */
      const double moved = speed[k] * step;
      double above = z[k] + (moved > 0 ? moved : 0);
      if (i) above -= kink[k] - first[k];
      double time = above / fabs(speed[k]);
      time = time > 0 ? time : 0;
      time = time < step ? time : step;
      sum[k] += weight[k] * jump * time;
    }
  }
}

/* Moves the top layer by a step, which is a region of the layers below. */
INLINE void FN(advance)(const Problem *problem, Workspace *space, double step,
                        const double *weights) {
  Layer *top = &space->layers[problem->num_layers - 1];
  const int64_t region = space->num_regions++, units = top->units;
  const size_t size = (size_t)units * sizeof(double);
  double *ends = NULL;
  if (problem->output == LOGITS) {
    FN(add_times_on)(top, step, weights, space->sums);
  } else if (region >= problem->capacity) {
    /* Only counted. */
  } else if (problem->output == REPLAY) {
    FN(add)(space->sums, 1, problem->region_weights + region * top->width,
            top->width);
  } else {
    ends = problem->ends + 2 * units * region;
    problem->steps[region] = step;
    memcpy(ends, top->z, size);
  }
  FN(add)(top->z, step, top->speed, top->width);
  if (ends) memcpy(ends + units, top->z, size);
}

/* Sets all layers to the start of a path. */
INLINE void FN(begin)(const Problem *problem, Workspace *space) {
  const int64_t top = problem->num_layers - 1, targets = space->targets;
  for (int64_t l = 0; l < top; l++) {
    Layer *layer = &space->layers[l], *next = &space->layers[l + 1];
    memset(layer->closed, 0, (size_t)(layer->width * targets) * sizeof(double));
    FN(set_out)(space, layer);
    FN(push)(next->speed, layer, layer->speed);
    memcpy(next->z, layer->bias, (size_t)layer->next_width * sizeof(double));
    for (int64_t k = 0; k < layer->units; k++)
      layer->factors[k] = activation(layer, layer->z[k]);
    FN(add_product)(next->z, layer->factors, NULL, layer->units, layer->kernel,
                    layer->next_width);
    if (l == 0) continue;
    layer->since = 0;
    FN(set_times)(layer);
  }
  Layer *last = &space->layers[top];
  if (last->num_kinks)
    for (int64_t k = 0; k < last->width; k++) last->z[k] -= last->shifted[k];
  memset(space->sums, 0, (size_t)(last->width * targets) * sizeof(double));
}

/* Applies the pending events to the top layer. */
INLINE void FN(catch_up)(const Problem *problem, Workspace *space,
                         const double *weights) {
  const int64_t top = problem->num_layers - 1, targets = space->targets;
  Layer *last = &space->layers[top];
  double *gradient = space->gradient;
  if (space->num_products) FN(push_all)(space, &space->layers[top - 1], last);
  for (int64_t e = 0; e < space->num_events; e++) {
    const Event *event = &space->events[e];
    if (event->step > 0) FN(advance)(problem, space, event->step, weights);
    const double *const *u_of = space->u + e * problem->num_layers;
    const double *u = u_of[top];
    for (int64_t t = 0; t < targets; t++) gradient[t] = 0;
    for (int64_t i = event->layer + 1; i < top; i++) {
      const Layer *above = &space->layers[i];
      FN(add_targets)(gradient, u_of[i], above->closed, above->units,
                      above->width, targets);
    }
    if (targets == 1 || problem->output != LOGITS) {
      FN(add_targets)(gradient, u, space->sums, last->units, last->width,
                      targets);
    } else {
      for (int64_t k = 0; k < last->width; k++)
        last->factors[k] = u[k] * space->sums[k];
      FN(add_product)(gradient, last->factors, NULL, last->units,
                      weights + last->width, targets);
    }
    FN(add)(last->speed, event->change, u, last->width);
    double *closed =
        space->layers[event->layer].closed + event->unit * targets;
    for (int64_t t = 0; t < targets; t++)
      closed[t] -= event->jump * gradient[t];
  }
  space->num_events = space->num_products = 0;
}

/* Makes a unit pass a kink, as path_sweep.c describes, at `now`, a `step` after
 * the previous event. */
INLINE void FN(pass)(const Problem *problem, Workspace *space, int64_t l,
                     int64_t unit, double now, double step,
                     const double *weights) {
  const int64_t top = problem->num_layers - 1, e = space->num_events++;
  Layer *layer = &space->layers[l];
  Event *event = &space->events[e];
  const double speed = layer->speed[unit];
  int32_t piece = layer->piece[unit] + (speed > 0 ? 1 : -1);
  piece = piece < 0 ? 0 : piece;
  piece = piece > layer->num_kinks ? (int32_t)layer->num_kinks : piece;
  const double slope = layer->piece_slopes[piece];
  event->layer = l;
  event->unit = unit;
  event->step = step;
  event->jump = slope - layer->slopes[unit];
  event->change = event->jump * speed;

  const double **u = space->u + e * problem->num_layers;
  u[l + 1] = layer->kernel + unit * layer->next_width;
  for (int64_t i = l + 1; i < top; i++) {
    Layer *above = &space->layers[i], *next = above + 1;
    if (i + 1 < top) {
      double *product = next->u + e * next->width;
      FN(push)(product, above, u[i]);
      u[i + 1] = product;
    } else {
      const int64_t p = space->num_products++;
      double *factors = space->factors + p * above->width;
      for (int64_t k = 0; k < above->width; k++)
        factors[k] = above->slopes[k] * u[i][k];
      u[top] = next->u + p * next->width;
    }
    FN(add)(above->z, now - above->since, above->speed, above->width);
    above->since = now;
    FN(add)(above->speed, event->change, u[i], above->width);
    FN(set_times)(above);
  }
  set_piece(layer, unit, piece);
  set_slope(layer, unit, slope);
  if (l) {
    layer->times[unit] = passage(layer->low[unit], layer->high[unit],
                                 layer->z[unit], speed, layer->since);
    layer->next = FN(least)(layer->times, layer->width);
  }
  /* Events are pending only as long as there is a product to wait for. */
  if (space->num_products == 0 || space->num_products == NUM_PRODUCTS ||
      space->num_events == NUM_EVENTS)
    FN(catch_up)(problem, space, weights);
}

/* Follows the path of one row. */
INLINE void FN(sweep)(const Problem *problem, Workspace *space,
                      const double *weights) {
  Layer *layers = space->layers;
  const int64_t top = problem->num_layers - 1;
  FN(begin)(problem, space);
  const int64_t num = top ? FN(find_passages)(layers, &space->passages) : 0;
  FN(sort)(&space->passages, num);
  int64_t num_done = 0;
  double now = 0;
  for (;;) {
    int64_t l = 0, unit = 0;
    double next = num_done < num ? space->passages.times[num_done] : 1;
    for (int64_t i = 1; i < top; i++) {
      if (layers[i].next >= next) continue;
      next = layers[i].next;
      l = i;
    }
    /* Rounding may put a passage before the previous one. */
    const double step = next > now ? next - now : 0;
    now = next > now ? next : now;
    if (l) {
      while (layers[l].times[unit] != layers[l].next) unit++;
    } else if (num_done < num) {
      unit = space->passages.units[num_done++];
    } else {
      FN(catch_up)(problem, space, weights);
      if (step > 0) FN(advance)(problem, space, step, weights);
      return;
    }
    FN(pass)(problem, space, l, unit, now, step, weights);
  }
}

/* Carries the sums of the top layer back to the first layer; returns the
 * integrals [units, targets] with respect to its pre-activations. */
INLINE const double *FN(back)(const Problem *problem, Workspace *space,
                              const double *weights) {
  const int64_t top = problem->num_layers - 1, targets = space->targets;
  Layer *last = &space->layers[top];
  const double *sums = space->sums;
  if (targets > 1 && problem->output == LOGITS) {
    weights += last->width;
    for (int64_t k = 0; k < last->units; k++)
      for (int64_t t = 0; t < targets; t++)
        last->closed[k * targets + t] = sums[k] * weights[k * targets + t];
    sums = last->closed;
  }
  for (int64_t l = top - 1; l >= 0; l--) {
    Layer *layer = &space->layers[l], *next = &space->layers[l + 1];
    for (int64_t i = 0; i < layer->num_on; i++) {
      const int64_t k = layer->on[i];
      const double *row = layer->kernel + k * layer->next_width;
      for (int64_t j = 0; j < layer->next_width; j++)
        next->factors[j] = layer->slopes[k] * row[j];
      FN(add_targets)(layer->closed + k * targets, next->factors, sums,
                      next->units, next->width, targets);
    }
    sums = layer->closed;
  }
  return sums;
}

static void FN(integrate)(const Problem *problem, Workspace *space,
                          const double *start, const double *end,
                          double *integrals, int64_t *num_regions) {
  Layer *first = &space->layers[0];
  const Layer *last = &space->layers[problem->num_layers - 1];
  const int64_t units = first->units, targets = problem->num_targets;
  FN(set_first_kinks)(first);
  for (int64_t row = 0; row < problem->num_rows; row++) {
    const int64_t num_regions_before = space->num_regions;
    const double *weights = problem->weights;
    if (problem->targets) weights += problem->targets[row] * last->width;
    for (int64_t k = 0; k < units; k++) {
      first->z[k] = start[k];
      first->speed[k] = end[k] - start[k];
    }
    const FN(Lengths) lengths = FN(lengths)(first);
    const double noise =
        problem->noise ? FN(path_noise)(problem, first, lengths) : 0;
    FN(set_kinks)(problem, space, sqrt(lengths.size));
    FN(sweep)(problem, space, weights);
    num_regions[row] = space->num_regions - num_regions_before;
    start += problem->start_stride;
    end += units;
    if (problem->output == RECORD) continue;
    const double *sums = FN(back)(problem, space, weights);
    for (int64_t t = 0; t < targets; t++)
      for (int64_t k = 0; k < units; k++)
        integrals[t * units + k] = sums[k * space->targets + t];
    if (problem->noise)
      for (int64_t t = 0; t < targets; t++) {
        double squares = 0;
        if (targets == 1)
          squares = FN(dot)(sums, sums, first->width);
        else
          for (int64_t k = 0; k < units; k++)
            squares += integrals[t * units + k] * integrals[t * units + k];
        problem->noise[row * targets + t] =
            noise * sqrt(squares / (double)units);
      }
    integrals += targets * units;
  }
}

#undef VECTOR
#undef LANES
#undef TILE
