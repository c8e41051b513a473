/* Batch norm, addition and ReLU or GELU, and max-pooling, in as few passes over memory as they need.

   Maps are n rows (positions) of C channels, without gaps. Compiled for float, with -DHALF for bfloat16, and with -DGELU
   for that instead of ReLU; sums and everything per channel are float. Rows are divided into the same blocks whatever the
   number of threads, so that sums come out the same.

   known: 5 rows of C: mean, variance, rate (one over the deviation), slope and level (norm = x slope + level) */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef int64_t size;
#ifdef HALF
typedef uint16_t value;
static inline float unpack(value v) {
    uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
static inline value pack(float f) { /* to the nearest, of two as near the even one */
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return f != f ? 0x7fc0 : (value)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
#else
typedef float value;
static inline float unpack(value v) { return v; }
static inline value pack(float f) { return f; }
#endif

static inline float within(float v, float top) { return v > top ? top : v < -top ? -top : v; }
#ifdef GELU
/* v times the normal distribution function, and its derivative; each less 1/2 is odd, here v P(v^2) / Q(v^2), fitted to
   within 1e-8 and 3e-7 */
static inline float acted(float v) {
    float w = within(v, 5.6f), s = w * w;
    float p = 0.398942222f + s * (0.034373577f + s * (0.00470709311f + s * (0.000173823753f + s * (6.35623085e-06f + s * 2.21465176e-08f))));
    float q = 1 + s * (0.252827495f + s * (0.0289386105f + s * (0.00191282553f + s * (7.5092687e-05f + s * 1.18022528e-06f))));
    return v * (0.5f + w * p / q);
}
static inline float passed(float v, float d) {
    float w = within(v, 6.2f), s = w * w;
    float p = 0.797883229f + s * (-0.0297825062f + s * (0.0141299468f + s * (4.3213142e-05f + s * (3.5426535e-05f + s * 1.83114642e-07f))));
    float q = 1 + s * (0.2959993f + s * (0.0413826552f + s * (0.0035530656f + s * (0.000198995748f + s * 8.63719611e-06f))));
    return d * (0.5f + w * p / q);
}
#else
static inline float acted(float v) { return v < 0 ? 0 : v; }
static inline float passed(float v, float d) { return v <= 0 ? 0 : d; }
#endif

#define BLOCKS 128 /* at most, */
#define LEAST 64   /* each of so many rows or more */
static size rows_of(size n) {
    size rows = (n + BLOCKS - 1) / BLOCKS;
    return rows < LEAST ? LEAST : rows;
}
#define FOR_BLOCKS                                                             \
    const size rows = rows_of(n), blocks = (n + rows - 1) / rows;              \
    _Pragma("omp parallel for num_threads(threads) schedule(static)")          \
    for (size p = 0; p < blocks; p++)
#define FIRST (p * rows)
#define STOP ((p + 1) * rows < n ? (p + 1) * rows : n)
#define CHANNELS _Pragma("omp simd") for (size c = 0; c < C; c++)

/* Mean and variance into `known`; buffer: BLOCKS * 4 * C */
void batch_moments(const value *x, size n, size C, float *known, float *buffer, size threads) {
    FOR_BLOCKS {
        float *mean = buffer + 4 * p * C, *square = mean + C, *m = mean + 2 * C, *s = mean + 3 * C;
        memset(mean, 0, 2 * C * sizeof(float));
        for (size r = FIRST; r < STOP; r += LEAST) { /* few enough to be near when they are read again */
            size stop = r + LEAST < STOP ? r + LEAST : STOP;
            float one = 1.0f / (stop - r), share = (float)(stop - r) / (stop - FIRST), before = r - FIRST;
            memset(m, 0, 2 * C * sizeof(float));
            for (size i = r; i < stop; i++) {
                const value *a = x + i * C;
                CHANNELS m[c] += unpack(a[c]);
            }
            CHANNELS m[c] *= one;
            for (size i = r; i < stop; i++) {
                const value *a = x + i * C;
                CHANNELS {
                    float d = unpack(a[c]) - m[c];
                    s[c] += d * d;
                }
            }
            CHANNELS {
                float d = m[c] - mean[c];
                square[c] += s[c] + d * d * before * share;
                mean[c] += d * share;
            }
        }
    }
    for (size c = 0; c < C; c++) {
        double mean = 0, square = 0;
        for (size p = 0; p < blocks; p++) mean += (double)buffer[4 * p * C + c] * (STOP - FIRST);
        mean /= n;
        for (size p = 0; p < blocks; p++) {
            double d = buffer[4 * p * C + c] - mean;
            square += buffer[(4 * p + 1) * C + c] + d * d * (STOP - FIRST);
        }
        known[c] = mean;
        known[C + c] = square / n;
    }
}

/* Rate, slope and level of the mean and variance in `known` */
void bn_coefficients(const float *scale, const float *shift, double eps, size C, float *known) {
    const float *mean = known, *var = known + C;
    float *rate = known + 2 * C, *slope = known + 3 * C, *level = known + 4 * C;
    for (size c = 0; c < C; c++) {
        rate[c] = 1 / sqrt(var[c] + eps);
        slope[c] = scale[c] * rate[c];
        level[c] = shift[c] - mean[c] * slope[c];
    }
}

/* Move running statistics by a share towards the mean and variance of n values */
void update_running(const float *mean, const float *var, size n, size C, double share, float *running_mean, float *running_var) {
    double more = n / (n - 1.0);
    for (size c = 0; c < C; c++) {
        running_mean[c] += share * (mean[c] - running_mean[c]);
        running_var[c] += share * (var[c] * more - running_var[c]);
    }
}

/* y = act(norm(x)), or with `more` act(norm(x) + more) */
void bn_act(const value *x, const value *more, size n, size C, const float *known, value *y, size threads) {
    const float *slope = known + 3 * C, *level = known + 4 * C;
    FOR_BLOCKS for (size r = FIRST; r < STOP; r++) {
        const value *a = x + r * C, *b = more + r * C;
        value *out = y + r * C;
        if (more)
            CHANNELS {
                float v = unpack(a[c]) * slope[c] + level[c] + unpack(b[c]);
                out[c] = pack(acted(v));
            }
        else
            CHANNELS {
                float v = unpack(a[c]) * slope[c] + level[c];
                out[c] = pack(acted(v));
            }
    }
}

/* Sums over the blocks: gradients of shift and scale */
static void total(size n, size C, const float *known, float *grads, const float *buffer) {
    const size rows = rows_of(n), blocks = (n + rows - 1) / rows;
    for (size c = 0; c < C; c++) {
        double shift = 0, scale = 0;
        for (size p = 0; p < blocks; p++) shift += buffer[2 * p * C + c], scale += buffer[(2 * p + 1) * C + c];
        grads[c] = shift;
        grads[C + c] = scale * known[2 * C + c];
    }
}
#define SUMS                                                                   \
    float *shift = buffer + 2 * p * C, *scale = shift + C;                     \
    memset(shift, 0, 2 * C * sizeof(float));                                   \
    for (size r = FIRST; r < STOP; r++)

/* grads: 2 rows of C, the gradients of shift and scale, dy being that of act(norm(x)); buffer: BLOCKS * 2 * C */
void bn_backward_reduce(const value *dy, const value *x, size n, size C, const float *known, float *grads, float *buffer, size threads) {
    const float *mean = known, *slope = known + 3 * C, *level = known + 4 * C;
    FOR_BLOCKS {
        SUMS {
            const value *d = dy + r * C, *a = x + r * C;
            CHANNELS {
                float v = unpack(a[c]), z = passed(v * slope[c] + level[c], unpack(d[c]));
                shift[c] += z;
                scale[c] += z * (v - mean[c]);
            }
        }
    }
    total(n, C, known, grads, buffer);
}

/* The same of y = act(norm(x) + more), and dz, the gradient of `more` */
void bn_backward_reduce_added(const value *dy, const value *x, const value *y, size n, size C, const float *known, float *grads, value *dz,
                float *buffer, size threads) {
    const float *mean = known;
    FOR_BLOCKS {
        SUMS {
            const value *d = dy + r * C, *a = x + r * C, *b = y + r * C;
            value *out = dz + r * C;
            CHANNELS {
                float z = unpack(b[c]) <= 0 ? 0 : unpack(d[c]); /* of ReLU only */
                shift[c] += z;
                scale[c] += z * (unpack(a[c]) - mean[c]);
                out[c] = pack(z);
            }
        }
    }
    total(n, C, known, grads, buffer);
}

/* dx of dy, the gradient of act(norm(x)), or of norm(x) where act is done with; buffer: 2 * C */
void bn_backward_input(const value *dy, const value *x, size n, size C, const float *known, const float *grads, size done, value *dx,
             float *buffer, size threads) {
    const float *mean = known, *rate = known + 2 * C, *slope = known + 3 * C, *level = known + 4 * C;
    float *tilt = buffer, *offset = buffer + C;
    for (size c = 0; c < C; c++) {
        tilt[c] = -slope[c] * rate[c] * grads[C + c] / n;
        offset[c] = -slope[c] * grads[c] / n;
    }
    FOR_BLOCKS for (size r = FIRST; r < STOP; r++) {
        const value *d = dy + r * C, *a = x + r * C;
        value *out = dx + r * C;
        if (done)
            CHANNELS out[c] = pack(unpack(d[c]) * slope[c] + (unpack(a[c]) - mean[c]) * tilt[c] + offset[c]);
        else
            CHANNELS {
                float v = unpack(a[c]), z = passed(v * slope[c] + level[c], unpack(d[c]));
                out[c] = pack(z * slope[c] + (v - mean[c]) * tilt[c] + offset[c]);
            }
    }
}

/* Max-pooling with windows 1 or 2 wide beside each other: maps (B, D, H, W, C) to (B, D / d, H / h, W / w, C) */
#define FOR_LINES                                                              \
    const size deep = D / d, high = H / h, wide = W / w;                       \
    _Pragma("omp parallel for num_threads(threads) schedule(static)")          \
    for (size line = 0; line < B * deep * high; line++)
#define PLACE const size b = line / (deep * high), k = line / high % deep, j = line % high;
#define TAPS for (size dk = 0; dk < d; dk++) for (size dj = 0; dj < h; dj++) for (size di = 0; di < w; di++)
#define TAP ((((b * D + k * d + dk) * H + j * h + dj) * W + i * w + di) * C)

void max_pool(const value *x, size B, size D, size H, size W, size C, size d, size h, size w, value *y, size threads) {
    FOR_LINES {
        PLACE
        for (size i = 0; i < wide; i++) {
            value *out = y + (line * wide + i) * C;
            TAPS {
                const value *a = x + TAP;
                if (dk + dj + di == 0)
                    memcpy(out, a, C * sizeof(value));
                else
                    CHANNELS {
                        float f = unpack(a[c]);
                        out[c] = f > unpack(out[c]) || f != f ? a[c] : out[c];
                    }
            }
        }
    }
}

/* The gradient goes to the first of the largest */
void max_pool_backward(const value *dy, const value *x, const value *y, size B, size D, size H, size W, size C, size d, size h, size w,
               value *dx, size threads) {
    FOR_LINES {
        PLACE
        value left[C];
        for (size i = 0; i < wide; i++) {
            memcpy(left, dy + (line * wide + i) * C, C * sizeof(value));
            const value *top = y + (line * wide + i) * C;
            TAPS {
                const value *a = x + TAP;
                value *out = dx + TAP;
                CHANNELS {
                    value g = unpack(a[c]) == unpack(top[c]) ? left[c] : 0;
                    out[c] = g;
                    left[c] = unpack(a[c]) == unpack(top[c]) ? 0 : left[c];
                }
            }
        }
        /* what no window covers */
        for (size r = k * d; r < (k + 1 == deep ? D : (k + 1) * d); r++)
            for (size q = j * h; q < (j + 1 == high ? H : (j + 1) * h); q++) {
                size from = r < deep * d && q < high * h ? wide * w : 0;
                memset(dx + (((b * D + r) * H + q) * W + from) * C, 0, (W - from) * C * sizeof(value));
            }
    }
}
