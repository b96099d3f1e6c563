#include "datasets/longbench_protocols.h"

namespace evictbench {
namespace {

using Wrap = PromptRules::Wrap;

constexpr Wrap kLlama2{"llama-2", "[INST]", "[/INST]"};
constexpr Wrap kLongBenchWraps[] = {kLlama2};
constexpr Wrap kFactoryWraps[] = {{"llama-2", "[INST] ", " [/INST]"}};
constexpr Wrap kCompressKvWraps[] = {
    kLlama2,
    {"llama-3", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n",
     "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"qwen2.5",
     "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
     "<|im_start|>user\n",
     "<|im_end|>\n<|im_start|>assistant\n"},
};

// THUDM's program names a few models of its time; to any other of today it is usual to give its own template.
constexpr LongBenchProtocol kProtocols[] = {
    {.name = "longbench",
     .source = "THUDM/LongBench LongBench/pred.py c5ea10b",
     .wraps = kLongBenchWraps,
     .own_template = true},
    {.name = "compresskv",
     .source = "TUDa-HWAI/CompressKV longbench/pred_compresskv.py 6919c45",
     .wraps = kCompressKvWraps},
    {.name = "snapkv",
     .source = "FasterDecoding/SnapKV experiments/LongBench/pred_snap.py 82135ce",
     .wraps = kLongBenchWraps,
     .never_empty = true},
    {.name = "kvcache-factory",
     .source = "Zefan-Cai/KVCache-Factory run_longbench.py f1d76cf",
     .wraps = kFactoryWraps,
     .wraps_plain = true,
     .wrap_before_cut = true,
     .line_ends = false,
     .never_empty = true},
    {.name = "kvpress",
     .source = "NVIDIA/kvpress 0.5.5 pipeline.py, evaluation/longbench 03f4b15, "
               "evaluation/benchmarks/longbench 6cf7cf4",
     .wraps = {},
     .own_template = true,
     .wraps_plain = true,
     .in_parts = true,
     .cuts_context = true,
     .line_ends = false,
     .strips = true,
     .more_new = 20},
};

}  // namespace

std::span<const LongBenchProtocol> longbench_protocols() { return kProtocols; }

}  // namespace evictbench
