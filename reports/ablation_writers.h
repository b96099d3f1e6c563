#pragma once

#include <span>
#include <string>

#include "reports/ablation.h"

// One function per file that an ablation leaves.
namespace evictbench {

std::string ablation_csv(
    std::span<const AblationTable> tables);  // long form: a row per task, score, kind and K
std::string ablation_markdown(const Ablation& all, std::span<const AblationTable> tables);
std::string ablation_page(const Ablation& all, std::span<const AblationTable> tables);

std::string head_label(const Ablation& all, int head);  // "15-30": layer 15, head 30
std::string kind_label(const Ablation& all,
                       const std::string& kind);  // "top copy heads", "random heads, 10 draws"

}  // namespace evictbench
