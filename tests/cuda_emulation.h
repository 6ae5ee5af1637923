// A block of a GPU's threads, as contexts that take turns on one thread of the processor: enough of CUDA
// for the tests to run a kernel where there is no GPU. A context goes on until it waits for others, and
// here it also waits at every product and shuffle: a __syncwarp that is missing beside one is not seen.
// The kernel's source is given by the compiler's option KERNEL.

#include <ucontext.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__

struct float2 {
    float x, y;
};
struct float4 {
    float x, y, z, w;
};
struct Index {
    int x;
};

static Index threadIdx, blockIdx;
alignas(16) char memory[1 << 18];
static float floats[WARPS][32];
static unsigned words[WARPS][32][6];

static const int THREADS_OF_BLOCK = 32 * WARPS;
static ucontext_t scheduler, contexts[THREADS_OF_BLOCK];
static bool finished[THREADS_OF_BLOCK];
static std::function<void()> body;

struct Barrier {
    int waiting = 0, generation = 0;

    void wait(int threads) {
        const int mine = generation;
        if (++waiting == threads) {
            waiting = 0;
            generation++;
        }
        while (generation == mine) swapcontext(&contexts[threadIdx.x], &scheduler);
    }
};

static Barrier block, warps[WARPS];

static int warp_of_thread() { return threadIdx.x / 32; }
static void __syncthreads() { block.wait(THREADS_OF_BLOCK); }
static void __syncwarp() { warps[warp_of_thread()].wait(32); }

static void enter() {
    body();
    finished[threadIdx.x] = true;
    swapcontext(&contexts[threadIdx.x], &scheduler);
}

static void run_block() {
    std::vector<std::vector<char>> stacks(THREADS_OF_BLOCK, std::vector<char>(1 << 17));
    for (int thread = 0; thread < THREADS_OF_BLOCK; thread++) {
        finished[thread] = false;
        getcontext(&contexts[thread]);
        contexts[thread].uc_stack.ss_sp = stacks[thread].data();
        contexts[thread].uc_stack.ss_size = stacks[thread].size();
        makecontext(&contexts[thread], enter, 0);
    }
    for (bool going = true; going;) {
        going = false;
        for (int thread = 0; thread < THREADS_OF_BLOCK; thread++)
            if (!finished[thread]) {
                going = true;
                threadIdx.x = thread;
                swapcontext(&scheduler, &contexts[thread]);
            }
    }
}

static unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float __uint_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

static float __shfl_xor_sync(unsigned, float value, int mask) {
    float* row = floats[warp_of_thread()];
    row[threadIdx.x % 32] = value;
    __syncwarp();
    float other = row[(threadIdx.x % 32) ^ mask];
    __syncwarp();
    return other;
}

// mma.m16n8k8 of TF32: which element a lane holds is in PTX's manual, "Matrix Fragments for mma.m16n8k8".
static void emulated_product(
    float* sum, unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
    const int lane = threadIdx.x % 32;
    auto& held = words[warp_of_thread()];
    const unsigned mine[6] = {a0, a1, a2, a3, b0, b1};
    std::memcpy(held[lane], mine, sizeof mine);
    __syncwarp();
    auto tf32 = [](unsigned bits) { return __uint_as_float(bits & 0xffffe000u); };
    for (int c = 0; c < 4; c++) {
        const int row = lane / 4 + c / 2 * 8, column = lane % 4 * 2 + c % 2;
        for (int k = 0; k < 8; k++) {
            const float a = tf32(held[row % 8 * 4 + k % 4][row / 8 + k / 4 * 2]);
            sum[c] += a * tf32(held[column * 4 + k % 4][4 + k / 4]);
        }
    }
    __syncwarp();
}

#include KERNEL

extern "C" void launch(
    int networks, float* weights, float* errors, float* targets, float* coordinates, float* rates,
    float* roots, int points, int steps, double omega, double decay, double stop) {
    static_assert(sizeof(Shared) <= sizeof memory);
    for (int network = 0; network < networks; network++) {
        blockIdx.x = network;
        body = [&] {
            fit(weights, errors, targets, coordinates, rates, roots, points, steps, omega, decay, stop);
        };
        run_block();
    }
}
