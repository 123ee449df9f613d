// The encoder of T5 v1.1 (kind "t5"), with Hugging Face tensor names. Raffel et al. 2020, "Exploring the
// Limits of Transfer Learning with a Unified Text-to-Text Transformer"; FLUX.1 takes the XXL one's states.
#pragma once
#include "core/network.h"
#include "nn/linear.h"
#include "nn/rms_norm.h"

namespace imageforge::t5 {

struct Settings {
    int64_t width, layers, heads, head_dim, intermediate, vocab;
    int64_t buckets, max_distance;  // of relative positions

    explicit Settings(const Config & config);
    int64_t inner() const { return heads * head_dim; }
};

/// The bucket of a relative position, key - query: one bucket each when near, logarithmic ones up to the
/// largest distance.
int32_t bucket_of(int64_t distance, const Settings & settings);

/// Scores aren't divided by sqrt(head_dim): T5's initialisation accounts for that.
struct SelfAttention {
    Linear query, key, value, out;
    int64_t heads;

    SelfAttention(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x, Tensor bias) const;  // [width, L, 1], bias [L, L, heads]
};

/// GEGLU (Shazeer 2020): out(gelu(gate x) * value x).
struct FeedForward {
    Linear gate, value, out;

    FeedForward(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x) const;
};

struct Block {
    RmsNorm norm1;
    SelfAttention attention;
    RmsNorm norm2;
    FeedForward feed_forward;

    Block(Weights w, const Settings & settings);
    Tensor forward(const Ctx & ctx, Tensor x, Tensor bias) const;
};

struct Encoder {
    Settings settings;
    Tensor token_embedding;  // [width, vocab]
    Tensor position_bias;    // [heads, buckets], block 0's, used by all
    std::vector<Block> blocks;
    RmsNorm final_norm;

    Encoder(Settings settings, Weights w);

    /// Ids I32 [L] and the bucket of each pair of places I32 [L * L], keys fastest -> the states before the
    /// first block and after each of the first `count`, [width, L, 1], without the final norm.
    std::vector<Tensor> forward(const Ctx & ctx, Tensor ids, Tensor buckets, int count) const;
};

std::unique_ptr<TextEncoderNetwork> make(const Config & config, Weights weights);

}  // namespace imageforge::t5
