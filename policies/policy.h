#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/budget.h"
#include "core/decode_rule.h"
#include "core/kept.h"
#include "core/observation.h"

namespace evictbench {

// An eviction policy: a pure function from one observation to what is worth keeping, for all its budgets at once.
class Policy {
 public:
  virtual ~Policy() = default;
  virtual Needs needs(const KvShape& shape) const = 0;
  virtual std::vector<Kept> select(const Observation& seen, std::span<const Budget> budgets) const = 0;
  virtual std::unique_ptr<DecodeRule> decode_rule() const { return nullptr; }
  virtual bool nested() const {
    return false;
  }  // promises that a smaller budget keeps a subset of a larger one
  virtual bool evicts() const { return true; }  // false: keeps everything, whatever the budget
  // How its budgets are to be spent. Only published variants keep a repository's own arithmetic.
  virtual Budget::Rule rule() const { return Budget::Rule::kExact; }
  // Lanes of a layer: G, or H where a published variant gives every query head a cache of its own.
  virtual int heads(const KvShape& shape) const { return shape.kv_heads; }

  const std::string& id() const { return id_; }  // "snapkv{kernel=7,pool=max,window=32}"; names it in records
  void set_id(std::string id) { id_ = std::move(id); }

 private:
  std::string id_;
};

}  // namespace evictbench
