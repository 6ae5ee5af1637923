// The fit of SIRENs with two hidden layers, a block of WARPS warps for each, from the first step to
// the last. Weights, moments, and what warps exchange stay in shared memory.
//
// A warp takes 16 points at a time. Lane (g, t) = (lane / 4, lane % 4) holds, for points g and g + 8,
// the neurons 8 k + 2 t and 8 k + 2 t + 1: the order in which a matrix product leaves its sums. Since
// the order of a product's terms is free, these are also the order of the next product's left side,
// so a layer's values never leave the lanes. Only the weights' gradient, which sums over points,
// needs them the other way around, and takes them from shared memory.
//
// Products are made of three with TF32's 11 bits each, which leaves out the last bits: their relative
// error is about 2^-21, where float32's is 2^-24.
//
// The compiler's options give INPUTS, OUTPUTS, WARPS, BLOCKS (that share a processor), and BYTES (of
// shared memory).

#define HIDDEN 32
#define W1 0
#define B1 (HIDDEN * INPUTS)
#define W2 (B1 + HIDDEN)
#define B2 (W2 + HIDDEN * HIDDEN)
#define W3 (B2 + HIDDEN)
#define B3 (W3 + HIDDEN * OUTPUTS)
#define PARAMETERS (B3 + OUTPUTS)
#define THREADS (32 * WARPS)
#define TURNED 320  // 32 rows of 8 points, and a gap of 8 after every 4 rows, for the banks
#define SCRATCH (4 * TURNED)  // a warp's values and slopes of 16 points; at a step's end its gradient

static_assert(PARAMETERS <= SCRATCH, "a warp's gradient does not fit");

struct Split {
    unsigned high, low;
};

__device__ __forceinline__ Split split(float value) {
    Split parts;
    parts.high = __float_as_uint(value) & 0xffffe000u;
    parts.low = __float_as_uint(value - __uint_as_float(parts.high));
    return parts;
}

struct Left {
    Split a0, a1, a2, a3;
};

__device__ __forceinline__ Left left(float a0, float a1, float a2, float a3) {
    return {split(a0), split(a1), split(a2), split(a3)};
}

__device__ __forceinline__ void product(
    float* sum, unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
#ifdef __CUDACC__
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#else
    emulated_product(sum, a0, a1, a2, a3, b0, b1);
#endif
}

__device__ __forceinline__ void product(float* sum, const Left& a, Split b0, Split b1) {
    product(sum, a.a0.low, a.a1.low, a.a2.low, a.a3.low, b0.high, b1.high);
    product(sum, a.a0.high, a.a1.high, a.a2.high, a.a3.high, b0.low, b1.low);
    product(sum, a.a0.high, a.a1.high, a.a2.high, a.a3.high, b0.high, b1.high);
}

// sin and cos of pi times x, from one reduction to |x| <= 1/2, by the polynomials of vectors.py.
__device__ __forceinline__ void sine_and_cosine(float x, float& sine, float& cosine) {
    float shifted = x + 12582912.0f;
    float rest = x - (shifted - 12582912.0f);
    unsigned odd = __float_as_uint(shifted) << 31;
    float square = rest * rest;
    float s = 0.07756038772650278f, c = -0.024396716815456333f;
    s = fmaf(s, square, -0.5982421268412718f);
    s = fmaf(s, square, 2.5500697264114103f);
    s = fmaf(s, square, -5.167709684803433f);
    s = fmaf(s, square, 3.141592636895439f);
    c = fmaf(c, square, 0.2349375590945165f);
    c = fmaf(c, square, -1.3352120567010153f);
    c = fmaf(c, square, 4.058709164345972f);
    c = fmaf(c, square, -4.934802137228471f);
    c = fmaf(c, square, 0.9999999997806521f);
    sine = __uint_as_float(__float_as_uint(s * rest) ^ odd);
    cosine = __uint_as_float(__float_as_uint(c) ^ odd);
}

__device__ __forceinline__ int turned(int neuron) { return neuron * 8 + (neuron >> 2) * 8; }

// Sum over the lanes that hold the same neurons.
__device__ __forceinline__ float over_points(float value) {
    value += __shfl_xor_sync(0xffffffffu, value, 4);
    value += __shfl_xor_sync(0xffffffffu, value, 8);
    return value + __shfl_xor_sync(0xffffffffu, value, 16);
}

struct Shared {
    float4 forwards[512];   // weights of the second layer over pi, times omega: two, and their rests
    float4 backwards[512];  // likewise, times omega, for the product with the transpose
    float weights[PARAMETERS], first[PARAMETERS], second[PARAMETERS];
    float turns[HIDDEN * (INPUTS + 1)];  // the first layer's weights and biases, by input
    float bias[HIDDEN];
    float errors[WARPS];
    alignas(16) float scratch[WARPS][SCRATCH];
};

static_assert(sizeof(Shared) == BYTES, "the caller has another size");

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) fit(
    float* all_weights,          // [networks, PARAMETERS]
    float* all_errors,           // [networks], of the fitted weights
    const float* all_targets,    // [networks, points, OUTPUTS]
    const float* coordinates,    // [points, INPUTS]
    const float* rates,          // [steps], over Adam's correction of the first moment
    const float* roots,          // [steps], of Adam's correction of the second
    int points, int steps, double omega_, double decay_, double stop_) {
    extern __shared__ char memory[];
    Shared& shared = *reinterpret_cast<Shared*>(memory);
    const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    const int g = lane / 4, t = lane % 4;
    const float omega = omega_, decay = decay_, stop = stop_, turn = omega_ * 0.3183098861837907;
    const float* targets = all_targets + (size_t)blockIdx.x * points * OUTPUTS;
    float* weights = all_weights + (size_t)blockIdx.x * PARAMETERS;
    float* values = shared.scratch[warp];
    float* slopes = values + 2 * TURNED;

    for (int i = thread; i < PARAMETERS; i += THREADS) {
        shared.weights[i] = weights[i];
        shared.first[i] = shared.second[i] = 0;
    }
    float error = 0;
    for (int step = 0;; step++) {
        __syncthreads();
        // Pack the weights.
        for (int i = thread; i < 512; i += THREADS) {
            int gi = i % 32 / 4, ti = i % 4, k = i / 32 % 4, n = i / 128;
            const float* row = shared.weights + W2 + (n * 8 + gi) * HIDDEN + k * 8 + 2 * ti;
            Split x = split(row[0] * turn), y = split(row[1] * turn);
            shared.forwards[i] = {__uint_as_float(x.high), __uint_as_float(y.high),
                                  __uint_as_float(x.low), __uint_as_float(y.low)};
            const float* column = shared.weights + W2 + (k * 8 + 2 * ti) * HIDDEN + n * 8 + gi;
            x = split(column[0] * omega), y = split(column[HIDDEN] * omega);
            shared.backwards[i] = {__uint_as_float(x.high), __uint_as_float(y.high),
                                   __uint_as_float(x.low), __uint_as_float(y.low)};
        }
        for (int i = thread; i < HIDDEN; i += THREADS) {
            for (int input = 0; input < INPUTS; input++)
                shared.turns[input * HIDDEN + i] = shared.weights[W1 + i * INPUTS + input] * turn;
            shared.turns[INPUTS * HIDDEN + i] = shared.weights[B1 + i] * turn;
            shared.bias[i] = shared.weights[B2 + i] * turn;
        }
        __syncthreads();

        float g2[2][4][4] = {}, g1[INPUTS + 1][8] = {}, gb2[8] = {}, g3[OUTPUTS][8] = {};
        float gb3[OUTPUTS] = {}, squares = 0;
        for (int base = warp * 16; base < points; base += WARPS * 16) {
            const int at[2] = {base + g, base + g + 8};
            float x[2][INPUTS];
#pragma unroll
            for (int r = 0; r < 2; r++)
#pragma unroll
                for (int i = 0; i < INPUTS; i++)
                    x[r][i] = at[r] < points ? coordinates[at[r] * INPUTS + i] : 0.0f;

            // First layer. [k][c]: c = 0, 1: point g; 2, 3: point g + 8.
            float c1[4][4], z[4][4];
#pragma unroll
            for (int k = 0; k < 4; k++) {
                const int neuron = k * 8 + 2 * t;
                z[k][0] = z[k][2] = shared.bias[neuron];
                z[k][1] = z[k][3] = shared.bias[neuron + 1];
            }
            __syncwarp();  // what was turned before has been read
#pragma unroll
            for (int k = 0; k < 4; k++) {
                const int neuron = k * 8 + 2 * t;
                float s[4];
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    float phase = shared.turns[INPUTS * HIDDEN + neuron + c % 2];
#pragma unroll
                    for (int i = 0; i < INPUTS; i++)
                        phase = fmaf(shared.turns[i * HIDDEN + neuron + c % 2], x[c / 2][i], phase);
                    sine_and_cosine(phase, s[c], c1[k][c]);
                    values[c / 2 * TURNED + turned(neuron + c % 2) + g] = s[c];
                }
                Left a = left(s[0], s[2], s[1], s[3]);
#pragma unroll
                for (int n = 0; n < 4; n++) {
                    float4 b = shared.forwards[(n * 4 + k) * 32 + lane];
                    product(z[n], a, {__float_as_uint(b.x), __float_as_uint(b.z)},
                            {__float_as_uint(b.y), __float_as_uint(b.w)});
                }
            }

            // Second layer, and outputs.
            float s2[4][4], out[OUTPUTS][2] = {};
#pragma unroll
            for (int n = 0; n < 4; n++)
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    sine_and_cosine(z[n][c], s2[n][c], z[n][c]);  // z: the cosine from here on
#pragma unroll
                    for (int o = 0; o < OUTPUTS; o++)
                        out[o][c / 2] = fmaf(shared.weights[W3 + o * HIDDEN + n * 8 + 2 * t + c % 2],
                                             s2[n][c], out[o][c / 2]);
                }
#pragma unroll
            for (int o = 0; o < OUTPUTS; o++)
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    float value = out[o][r];
                    value += __shfl_xor_sync(0xffffffffu, value, 1);
                    value += __shfl_xor_sync(0xffffffffu, value, 2);
                    value += shared.weights[B3 + o];
                    value = at[r] < points ? value - targets[at[r] * OUTPUTS + o] : 0.0f;
                    squares = fmaf(value, value, squares);
                    gb3[o] += value;
                    out[o][r] = value;
                }

            // Back through the second layer.
            float d1[4][4] = {};
#pragma unroll
            for (int n = 0; n < 4; n++) {
                const int neuron = n * 8 + 2 * t;
                float d[4];
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    float slope = 0;
#pragma unroll
                    for (int o = 0; o < OUTPUTS; o++) {
                        g3[o][n * 2 + c % 2] = fmaf(out[o][c / 2], s2[n][c], g3[o][n * 2 + c % 2]);
                        slope = fmaf(out[o][c / 2], shared.weights[W3 + o * HIDDEN + neuron + c % 2],
                                     slope);
                    }
                    d[c] = slope * z[n][c];
                    gb2[n * 2 + c % 2] += d[c];
                    slopes[c / 2 * TURNED + turned(neuron + c % 2) + g] = d[c];
                }
                Left a = left(d[0], d[2], d[1], d[3]);
#pragma unroll
                for (int m = 0; m < 4; m++) {
                    float4 b = shared.backwards[(m * 4 + n) * 32 + lane];
                    product(d1[m], a, {__float_as_uint(b.x), __float_as_uint(b.z)},
                            {__float_as_uint(b.y), __float_as_uint(b.w)});
                }
            }

            // Gradient of the first layer.
#pragma unroll
            for (int k = 0; k < 4; k++)
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    float d = d1[k][c] * c1[k][c];
                    g1[INPUTS][k * 2 + c % 2] += d;
#pragma unroll
                    for (int i = 0; i < INPUTS; i++)
                        g1[i][k * 2 + c % 2] = fmaf(d, x[c / 2][i], g1[i][k * 2 + c % 2]);
                }

            // Gradient of the second layer's weights, 8 points at a time.
            __syncwarp();
#pragma unroll
            for (int half = 0; half < 2; half++) {
                Left a[2];
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    const float* row = slopes + half * TURNED + turned(m * 16 + g) + 2 * t;
                    float2 low = *(const float2*)row;
                    row = slopes + half * TURNED + turned(m * 16 + g + 8) + 2 * t;
                    float2 high = *(const float2*)row;
                    a[m] = left(low.x, high.x, low.y, high.y);
                }
#pragma unroll
                for (int n = 0; n < 4; n++) {
                    const float* row = values + half * TURNED + turned(n * 8 + g) + 2 * t;
                    float2 b = *(const float2*)row;
                    Split b0 = split(b.x), b1 = split(b.y);
                    product(g2[0][n], a[0], b0, b1);
                    product(g2[1][n], a[1], b0, b1);
                }
            }
        }

        // The warp's gradient, without the factors that all points share.
        __syncwarp();
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int n = 0; n < 4; n++)
#pragma unroll
                for (int c = 0; c < 4; c++)
                    values[W2 + (m * 16 + g + c / 2 * 8) * HIDDEN + n * 8 + 2 * t + c % 2] =
                        g2[m][n][c];
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int neuron = i / 2 * 8 + 2 * t + i % 2;
#pragma unroll
            for (int input = 0; input <= INPUTS; input++) {
                float sum = over_points(g1[input][i]);
                if (g == 0)
                    values[input < INPUTS ? W1 + neuron * INPUTS + input : B1 + neuron] = sum;
            }
            float sum = over_points(gb2[i]);
            if (g == 0) values[B2 + neuron] = sum;
#pragma unroll
            for (int o = 0; o < OUTPUTS; o++) {
                sum = over_points(g3[o][i]);
                if (g == 0) values[W3 + o * HIDDEN + neuron] = sum;
            }
        }
#pragma unroll
        for (int o = 0; o < OUTPUTS; o++) {
            float sum = over_points(gb3[o]);
            if (lane == 0) values[B3 + o] = sum;
        }
        squares = over_points(squares);
        if (lane == 0) shared.errors[warp] = squares;
        __syncthreads();

        error = 0;
        for (int w = 0; w < WARPS; w++) error += shared.errors[w];
        error /= points * OUTPUTS;
        if (step == steps || error <= stop) break;  // alike in all threads
        const float scale = 2.0f / (points * OUTPUTS), rate = rates[step], root = roots[step];
        for (int i = thread; i < PARAMETERS; i += THREADS) {
            float gradient = 0;
            for (int w = 0; w < WARPS; w++) gradient += shared.scratch[w][i];
            gradient *= i < W3 ? scale * omega : scale;  // the first layer's second omega is packed
            float weight = shared.weights[i];
            gradient = fmaf(decay, weight, gradient);
            float first = fmaf(0.1f, gradient - shared.first[i], shared.first[i]);
            float second = fmaf(0.999f, shared.second[i], 0.001f * gradient * gradient);
            shared.first[i] = first;
            shared.second[i] = second;
            shared.weights[i] = weight - rate * first / (sqrtf(second) / root + 1e-8f);
        }
    }
    for (int i = thread; i < PARAMETERS; i += THREADS) weights[i] = shared.weights[i];
    if (thread == 0) all_errors[blockIdx.x] = error;
}
