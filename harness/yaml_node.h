#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/yaml.h"

// What yaml.cpp and yaml_parse.cpp share; for no other file.
namespace evictbench {

struct Yaml::Node {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  std::string text;
  bool quoted = false;
  int line = 0, column = 0;  // 1-based; line 0: given by --set
  std::string key;           // within a map
  int key_line = 0, key_column = 0;
  const Node* parent = nullptr;
  std::vector<std::unique_ptr<Node>> children;

  std::string path() const;  // "policies[0].window"; "" of the root
};

struct Yaml::Document {
  std::string file;
  std::unique_ptr<Node> root;
};

// "9:3 policies[0].window"; line 0 is what --set gave.
std::string yaml_place(int line, int column, const std::string& path);

}  // namespace evictbench
