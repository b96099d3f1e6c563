#include "reports/html_page.h"

#include <fmt/format.h>

#include "reports/html_style.h"
#include "reports/html_text.h"

namespace evictbench {

std::string page_of(const PageFrame& frame) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{}</title>\n<style>{}{}</style>\n</head>\n<body>\n"
      "<header>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n</header>\n{}<main>\n{}"
      "<footer>{}</footer>\n</main>\n</body>\n</html>\n",
      escape_html(frame.title), kPageStyle, frame.style, escape_html(frame.heading), frame.lead,
      frame.navigation, frame.body, frame.footer);
}

std::string section(const char* id, const char* title, const std::string& lead, const std::string& body) {
  return fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n{}{}\n</section>\n", id, title,
                     lead.empty() ? "" : "<p class=\"lead\">" + lead + "</p>\n", body);
}

std::string facts_list(const std::vector<std::pair<std::string, std::string>>& facts) {
  std::string out = "<dl>";
  for (const auto& [name, value] : facts)
    out += fmt::format("<dt>{}</dt><dd class=\"text\">{}</dd>\n", escape_html(name), escape_html(value));
  return out + "</dl>";
}

}  // namespace evictbench
