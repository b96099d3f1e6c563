#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace evictbench {

// Every tag is closed, in order; attributes are quoted. Gives the first fault.
inline std::string html_fault(const std::string& page) {
  std::vector<std::string> open;
  static const std::set<std::string> kInHead = {"<!DOCTYPE html>"};
  for (std::size_t at = 0; at < page.size();) {
    if (page[at] != '<') {
      if (page[at] == '>' && (open.empty() || open.back() != "style"))
        return "a bare > at " + page.substr(at, 40);
      if (page[at] == '&' && (open.empty() || open.back() != "style")) {
        const std::string entity = page.substr(at, page.find(';', at) - at + 1);
        if (!std::set<std::string>{"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}.contains(entity))
          return entity;
      }
      ++at;
      continue;
    }
    std::size_t end = at;
    for (bool quoted = false; end < page.size() && (quoted || page[end] != '>'); ++end)
      quoted ^= page[end] == '"';
    if (end == page.size()) return "an open tag at " + page.substr(at, 40);
    const std::string tag = page.substr(at, end + 1 - at);
    at = end + 1;
    if (kInHead.contains(tag)) continue;
    const std::string name =
        tag.substr(tag[1] == '/' ? 2 : 1, tag.find_first_of(" />", 2) - (tag[1] == '/' ? 2 : 1));
    if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz123456789") != name.npos)
      return tag;
    if (std::count(tag.begin(), tag.end(), '=') > 0 && std::count(tag.begin(), tag.end(), '"') % 2 != 0)
      return tag;
    if (tag[1] == '/') {
      if (open.empty() || open.back() != name)
        return tag + " closes " + (open.empty() ? "nothing" : open.back());
      open.pop_back();
    } else if (tag[tag.size() - 2] != '/') {
      open.push_back(name);
    }
  }
  return open.empty() ? "" : open.back() + " is left open";
}

}  // namespace evictbench
