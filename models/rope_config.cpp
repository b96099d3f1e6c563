// rope_theta, rope_scaling and rope_parameters of a config.json. Formulas, keys and defaults are those of transformers 5
// (modeling_rope_utils); what each scheme comes from stands in rope.h.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "core/numerics.h"
#include "models/config_reader.h"

namespace evictbench {
namespace {

std::string rope_type(const Json& rope, bool may_lack) {
  const auto type = rope.find("rope_type"), old = rope.find("type");
  if (type && old && type->string() != old->string())
    old->reject("06",
                fmt::format("type {} and rope_type {} differ", quoted(old->string()), quoted(type->string())),
                "one of them", "take the wrong one out");
  if (type || old) return (type ? type : old)->string();
  if (!may_lack)
    rope.reject("06", "no rope_type", "rope_type", "add \"rope_type\", or set rope_scaling to null");
  return "default";
}

RopeConfig::Kind kind_of(const Json& rope, const std::string& type, const RopeRules& rules) {
  std::vector<std::string_view> names;
  for (const RopeConfig::Kind kind : rules.kinds) {
    names.push_back(name_of(kind));
    if (type == names.back() || (type == "su" && kind == RopeConfig::Kind::kLongRope)) return kind;  // su: its first name
  }
  bool known = type == "mrope" || type == "proportional" || type == "su";
  for (const RopeConfig::Kind kind : RopeRules().kinds) known = known || type == name_of(kind);
  rope.reject(
      "06",
      fmt::format("rope type {} is {}", quoted(type), known ? "known, but not supported here" : "unknown"),
      fmt::format("one of {}", fmt::join(names, ", ")), known ? "use a model with one of these" : "correct the name");
}

void note_ignored(const Json& rope, DecoderConfig& config) {
  static constexpr std::string_view kRead[] = {
      "rope_type",        "type",       "rope_theta",  "partial_rotary_factor",
      "factor",           "beta_fast",  "beta_slow",   "original_max_position_embeddings",
      "attention_factor", "mscale",     "truncate",    "mscale_all_dim",
      "low_freq_factor",  "long_factor", "short_factor", "high_freq_factor"};
  for (const auto& [key, value] : rope.items()) {
    const bool known = std::ranges::find(kRead, key) != std::end(kRead);
    if (value.is_object() && !known)
      value.reject("06",
                   fmt::format("rotary parameters of layer type {} apart are not supported here", quoted(key)),
                   "one set for all layers", "use a model with one rotary scheme");
    if (key == "mrope_section")
      value.reject("06", "mrope (positions in several dimensions) is not supported", "positions in one",
                   "use a text model");
    if (!known)
      config.notes.push_back(fmt::format("{} in {} is ignored", quoted(key), rope.pointer()));
  }
}

// The context before it was extended: a key beside the block goes before one inside, then max_position_embeddings.
int original_positions(const Json& config, const Json& rope, const DecoderConfig& out) {
  const auto outer = config.find("original_max_position_embeddings"),
             inner = rope.find("original_max_position_embeddings");
  if (!outer && !inner) return out.max_positions;
  const Json& original = outer ? *outer : *inner;
  const auto tokens = static_cast<int>(original.integer(2, kMostPositions));
  if (tokens > out.max_positions)
    original.reject("06", fmt::format("{} is above max_position_embeddings {}", tokens, out.max_positions),
                    "the context before it was extended", "correct one of the two");
  return tokens;
}

double factor_of(const Json& rope, const char* key, double least = 1) {
  return rope.at(key).number(least, 1e6);
}

double factor_or(const Json& rope, const char* key, double absent) {
  const auto value = rope.find(key);
  return value ? value->number(1e-6, 1e6) : absent;
}

void read_llama3(const Json& rope, RopeConfig& out) {
  rope.at("original_max_position_embeddings").integer(1, kMostPositions);
  out.factor = factor_of(rope, "factor");
  out.low_freq_factor = factor_of(rope, "low_freq_factor", 1e-6);
  out.high_freq_factor = factor_of(rope, "high_freq_factor", 1e-6);
  if (out.high_freq_factor <= out.low_freq_factor)
    rope.reject("06",
                fmt::format("high_freq_factor {} is not above low_freq_factor {}", out.high_freq_factor,
                            out.low_freq_factor),
                "high_freq_factor > low_freq_factor", "correct them");
}

// Where no factor is given, the contexts' ratio.
double extension(const Json& rope, const DecoderConfig& config, const RopeConfig& out) {
  return rope.find("factor") ? factor_of(rope, "factor")
                             : static_cast<double>(config.max_positions) / out.original_max_positions;
}

// 0.1 m ln(factor) + 1 (YaRN, arXiv:2309.00071, eq. 22).
double temperature(double factor, double m) { return factor <= 1 ? 1 : 0.1 * m * numerics::log(factor) + 1; }

void read_yarn(const Json& rope, const DecoderConfig& config, RopeConfig& out) {
  out.factor = extension(rope, config, out);
  out.beta_fast = factor_or(rope, "beta_fast", 32);
  out.beta_slow = factor_or(rope, "beta_slow", 1);
  if (out.beta_fast <= out.beta_slow)
    rope.reject("06", fmt::format("beta_fast {} is not above beta_slow {}", out.beta_fast, out.beta_slow),
                "beta_fast > beta_slow", "correct them");
  out.truncate = flag_at(rope, "truncate", true);
  const auto mscale = rope.find("mscale"), all_dim = rope.find("mscale_all_dim");
  const double m = mscale ? mscale->number(0, 1e6) : 0, all = all_dim ? all_dim->number(0, 1e6) : 0;
  const double usual =
      m != 0 && all != 0 ? temperature(out.factor, m) / temperature(out.factor, all) : temperature(out.factor, 1);
  out.attention_factor = factor_or(rope, "attention_factor", usual);
}

std::vector<double> read_factors(const Json& rope, const char* key) {
  const Json list = rope.at(key);
  if (!list.is_array() || list.size() > kMostHeadDim)
    list.reject("06", fmt::format("{} that is no list of factors", key), "a list, one factor for each pair of dims",
                "correct it");
  std::vector<double> factors;
  for (std::size_t i = 0; i < list.size(); ++i) factors.push_back(list[i].number(1e-6, 1e6));
  return factors;
}

void read_longrope(const Json& rope, const DecoderConfig& config, RopeConfig& out) {
  out.factor = extension(rope, config, out);
  out.short_factors = read_factors(rope, "short_factor");
  out.long_factors = read_factors(rope, "long_factor");
  const double usual =
      out.factor <= 1 ? 1
                      : std::sqrt(1 + numerics::log(out.factor) /
                                          numerics::log(static_cast<double>(out.original_max_positions)));
  out.attention_factor = factor_or(rope, "attention_factor", usual);
}

void check_factors(const Json& rope, const RopeConfig& out) {
  if (out.kind != RopeConfig::Kind::kLongRope) return;
  for (const auto* factors : {&out.short_factors, &out.long_factors})
    if (std::ssize(*factors) != out.dim / 2)
      rope.reject("06",
                  fmt::format("{} factors in {}", factors->size(),
                              factors == &out.short_factors ? "short_factor" : "long_factor"),
                  fmt::format("{}, one for each pair of the {} dims that turn", out.dim / 2, out.dim),
                  "correct the list, or head_dim");
}

// int(head_dim x partial_rotary_factor), as transformers has it.
int turning_dims(const Json& config, const std::optional<Json>& rope, const DecoderConfig& out) {
  const auto outer = config.find("partial_rotary_factor"),
             inner = rope ? rope->find("partial_rotary_factor") : std::nullopt;
  if (!outer && !inner) return out.head_dim;
  const Json& part = outer ? *outer : *inner;
  const double share = part.number(1e-6, 1);
  if (outer && inner && inner->number(1e-6, 1) != share)
    inner->reject("06", "partial_rotary_factor differs from the one outside", "one value", "take the wrong one out");
  const int dims = static_cast<int>(out.head_dim * share);
  if (dims < 2 || dims % 2 != 0)
    part.reject("05", fmt::format("{} of {} dims turn", dims, out.head_dim), "an even number of at least 2",
                "correct partial_rotary_factor or head_dim");
  return dims;
}

void refuse_partial(const Json& rope) {
  if (const auto part = rope.find("partial_rotary_factor"); part && part->number(-1e300, 1e300) != 1)
    part->reject(
        "07",
        "partial_rotary_factor asks for rotary positions on a part of each head, which is not supported in this family",
        "1", "use a model without it");
}

double read_theta(const Json& config, const std::optional<Json>& block, DecoderConfig& out) {
  constexpr double kTransformersDefault = 10000;
  const auto outer = config.find("rope_theta");
  const auto inner = block ? block->find("rope_theta") : std::nullopt;
  if (!outer && !inner) {
    out.notes.push_back("rope_theta is absent: 10000, as transformers has it");
    return kTransformersDefault;
  }
  const double theta = theta_of(outer ? *outer : *inner);
  if (outer && inner && theta_of(*inner) != theta)
    inner->reject("06", fmt::format("rope_theta is {} here and {} outside", theta_of(*inner), theta), "one value",
                  "take the wrong one out");
  return theta;
}

// The formulas divide by these.
void check_divisors(const Json& config, const RopeConfig& rope) {
  if (rope.kind == RopeConfig::Kind::kDynamic && rope.dim <= 2)
    config.reject("06", fmt::format("dynamic rotary positions on {} dims", rope.dim), "at least 4", "correct head_dim");
  if (rope.kind == RopeConfig::Kind::kYarn && rope.theta <= 1)
    config.reject("06", fmt::format("yarn with rope_theta {}", rope.theta), "a rope_theta above 1", "correct it");
}

}  // namespace

double theta_of(const Json& value) { return value.number(1, 1e15); }

RopeConfig read_rope_block(const Json& config, const Json& rope, bool may_lack_type, const RopeRules& rules,
                           DecoderConfig& out) {
  using Kind = RopeConfig::Kind;
  note_ignored(rope, out);
  RopeConfig read;
  read.dim = out.head_dim;
  read.kind = kind_of(rope, rope_type(rope, may_lack_type), rules);
  if (read.kind == Kind::kDefault) return read;
  if (read.kind == Kind::kLinear || read.kind == Kind::kDynamic) read.factor = factor_of(rope, "factor");
  // The dynamic scheme of transformers starts at max_position_embeddings, whatever the block says.
  if (read.kind == Kind::kDynamic) read.original_max_positions = out.max_positions;
  if (read.kind == Kind::kLinear || read.kind == Kind::kDynamic) return read;
  read.original_max_positions = original_positions(config, rope, out);
  if (read.kind == Kind::kLlama3) read_llama3(rope, read);
  if (read.kind == Kind::kYarn) read_yarn(rope, out, read);
  if (read.kind == Kind::kLongRope) read_longrope(rope, out, read);
  return read;
}

void read_rope(const Json& config, const RopeRules& rules, DecoderConfig& out) {
  const auto scaling = config.find("rope_scaling"), parameters = config.find("rope_parameters");
  RopeConfig rope;
  if (scaling) rope = read_rope_block(config, *scaling, false, rules, out);
  if (parameters) {
    const RopeConfig newer = read_rope_block(config, *parameters, true, rules, out);
    if (scaling && newer != rope)
      parameters->reject("06", "rope_parameters and rope_scaling differ", "one of them, or the same in both",
                         "take the wrong one out");
    rope = newer;
  }
  const auto block = parameters ? parameters : scaling;
  if (rules.partial)
    rope.dim = turning_dims(config, block, out);
  else if (block)
    refuse_partial(*block);
  if (rope.dim == 0) rope.dim = out.head_dim;
  if (block) check_factors(*block, rope);
  rope.theta = read_theta(config, block, out);
  check_divisors(config, rope);
  out.ropes = {rope};
}

}  // namespace evictbench
