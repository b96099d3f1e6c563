#include "reports/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "core/io/json.h"
#include "reports/html_text.h"
#include "reports/record_json.h"
#include "tests/reports/synthetic.h"
#include "tests/support/html_fault.h"

namespace evictbench {
namespace {

using testing::HasSubstr;

using Files = std::map<std::string, std::string>;

Files files_of(const ReportInput& input) {
  const auto files = derived_files(input);
  return {files.begin(), files.end()};
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

const ReportInput& small_sweep() {
  static const ReportInput input = synthetic::sweep({{512, 4096}, {0, 50}, 2});
  return input;
}
const Files& small_files() {
  static const Files files = files_of(small_sweep());
  return files;
}

// --- JSON Schema: the keywords that our schemas use; any other is a failure of the test.

std::string kind_of(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_string()) return "string";
  return value.is_number() ? "number" : "boolean";
}

bool is_of(const Json& value, const Json& type) {
  if (type.is_array()) {
    for (std::size_t i = 0; i < type.size(); ++i)
      if (is_of(value, type[i])) return true;
    return false;
  }
  return type.string() == "integer" ? value.is_integer() : type.string() == kind_of(value);
}

bool equal(const Json& a, const Json& b) {
  if (a.is_string() && b.is_string()) return a.string() == b.string();
  return a.is_integer() && b.is_integer() && a.integer() == b.integer();
}

class Schema {
 public:
  explicit Schema(const std::string& name)
      : root_(Json::from_file(EVICTBENCH_SOURCE_DIR "/reports/schemas/" + name, {})) {}
  bool accepts(const std::string& text) const {
    return fault(Json::from_text(text, "text", {}), root_).empty();
  }
  std::string fault(const std::string& text) const { return fault(Json::from_text(text, "text", {}), root_); }

 private:
  std::string fault(const Json& value, const Json& schema) const {
    for (const auto& [keyword, rule] : schema.items()) {
      const std::string found = fault(value, schema, keyword, rule);
      if (!found.empty())
        return found.starts_with("/") ? found : value.pointer() + "/ breaks " + keyword + found;
    }
    return "";
  }
  std::string fault(const Json& value, const Json& schema, const std::string& keyword,
                    const Json& rule) const {
    static const std::set<std::string> kSilent = {"$schema", "title", "description", "$defs"};
    if (kSilent.contains(keyword)) return "";
    if (keyword == "$ref") return fault(value, root_.at("$defs").at(rule.string().substr(8)));
    if (keyword == "type") return is_of(value, rule) ? "" : " ";
    if (keyword == "const") return equal(value, rule) ? "" : " ";
    if (keyword == "minimum")
      return !value.is_number() || value.number(-1e300, 1e300) >= rule.number(-1e300, 1e300) ? "" : " ";
    if (keyword == "maximum")
      return !value.is_number() || value.number(-1e300, 1e300) <= rule.number(-1e300, 1e300) ? "" : " ";
    if (keyword == "enum" || keyword == "anyOf") {
      for (std::size_t i = 0; i < rule.size(); ++i)
        if (keyword == "enum" ? equal(value, rule[i]) : fault(value, rule[i]).empty()) return "";
      return " ";
    }
    if (keyword == "items") {
      for (std::size_t i = 0; value.is_array() && i < value.size(); ++i)
        if (const std::string found = fault(value[i], rule); !found.empty()) return found;
      return "";
    }
    if (!value.is_object()) return "";
    const auto members = value.items();
    const auto has = [&](const std::string& name) {
      return std::any_of(members.begin(), members.end(),
                         [&](const auto& member) { return member.first == name; });
    };
    if (keyword == "required") {
      for (std::size_t i = 0; i < rule.size(); ++i)
        if (!has(rule[i].string())) return " " + rule[i].string();
      return "";
    }
    if (keyword != "properties" && keyword != "additionalProperties") return " (unknown keyword)";
    const auto properties = schema.find("properties");
    for (const auto& [name, member] : members) {
      const auto own = properties ? properties->find(name) : std::nullopt;
      if (keyword == "properties") {
        if (own)
          if (const std::string found = fault(member, *own); !found.empty()) return found;
      } else if (!own) {
        if (rule.is_boolean()) return " " + name;
        if (const std::string found = fault(member, rule); !found.empty()) return found;
      }
    }
    return "";
  }
  Json root_;
};

// --- Tests

TEST(Report, FilesAreTheSameForRecordsInAnyOrder) {
  ReportInput shuffled = small_sweep();
  std::mt19937 random(3);
  for (int i = 0; i < 3; ++i) {
    std::shuffle(shuffled.records.begin(), shuffled.records.end(), random);
    EXPECT_TRUE(files_of(shuffled) == small_files());
  }
}

TEST(Report, FilesAreTheSameAfterTheRecordsWentThroughTheirLines) {
  ReportInput again = small_sweep();
  for (Record& record : again.records) record = parse_record(record_line(record), "records.jsonl", 1);
  EXPECT_TRUE(files_of(again) == small_files());
}

TEST(Report, OnlyThePageKnowsFactsAndTimings) {
  ReportInput other = small_sweep();
  other.facts = {{"Host", "elsewhere"}};
  other.timings = {{"Prefill", "1 ms on Tuesday"}};
  const Files files = files_of(other);
  for (const auto& [name, content] : files) {
    if (name == "report.html") continue;
    EXPECT_EQ(content, small_files().at(name)) << name;
  }
  EXPECT_THAT(files.at("report.html"), HasSubstr("1 ms on Tuesday"));
  // The timings stand in their own section, and nothing of them anywhere else.
  const std::string page = files.at("report.html");
  const std::size_t section = page.find("<section id=\"timings\"");
  EXPECT_GT(page.find("1 ms on Tuesday"), section);
}

TEST(Report, ResultsKeepToTheirSchema) {
  const Schema results("results.schema.json");
  EXPECT_EQ(results.fault(small_files().at("results.json")), "");
  EXPECT_FALSE(results.accepts(R"({"schema":1,"notes":[]})"));
  EXPECT_FALSE(results.accepts(R"({"schema":1,"notes":[3],"settings":[]})"));
  EXPECT_FALSE(results.accepts(R"({"schema":1,"notes":[],"settings":[],"more":1})"));
  const Schema records("records.schema.json");
  for (const Record& record : small_sweep().records) ASSERT_EQ(records.fault(record_line(record)), "");
}

TEST(Report, PageIsWellFormedAndSelfContained) {
  const std::string& page = small_files().at("report.html");
  EXPECT_EQ(html_fault(page), "");
  for (const char* foreign : {"http:", "https:", "src=", "@import", "url(", "<script", "<link", "onload"})
    EXPECT_FALSE(has(page, foreign)) << foreign;
  EXPECT_FALSE(has(page, "nan"));
  EXPECT_FALSE(has(page, "inf\""));
}

TEST(Report, TheCheckOfThePageFindsFaults) {
  EXPECT_NE(html_fault("<p><b>x</p></b>"), "");
  EXPECT_NE(html_fault("<p>x"), "");
  EXPECT_NE(html_fault("<p>a & b</p>"), "");
  EXPECT_NE(html_fault("<p>a > b</p>"), "");
  EXPECT_EQ(html_fault("<p title=\"a > b\">x<br/></p>"), "");
}

TEST(Report, HostileTextIsEscapedEverywhere) {
  const std::string attack = "</td><script>alert(1)</script>\"' onload='x' & \xff\xe2\x80\xae|*_`\\%$#{}~^\n";
  ReportInput input = synthetic::sweep({{512}, {0, 50}, 1});
  for (Record& record : input.records) {
    record.task += attack;
    record.example += attack;
    if (record.policy_name != "full") record.policy = record.policy_name = record.policy_name + attack;
    record.compute += attack;
    record.answer += attack + record.policy_name;
    if (!record.error.empty()) record.error += attack;
    record.scores[attack] = 0.5;
  }
  input.main_scores = {};
  for (const auto& record : input.records) input.references[record.task + "/" + record.example] = attack;
  input.facts = input.timings = {{attack, attack}};
  input.warnings = {attack};
  const Files files = files_of(input);
  const std::string& page = files.at("report.html");
  EXPECT_EQ(html_fault(page), "");
  EXPECT_FALSE(has(page, "<script"));
  EXPECT_FALSE(has(page, "\xe2\x80\xae"));
  EXPECT_FALSE(has(page, "\xff"));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;"));
  EXPECT_EQ(Schema("results.schema.json").fault(files.at("results.json")), "");
  EXPECT_FALSE(has(files.at("results.md"), "<script"));
  EXPECT_FALSE(has(files.at("results.tex"), "$#{"));
  for (const auto& [name, content] : files) EXPECT_EQ(content.find('\xff'), content.npos) << name;
}

TEST(Report, EscapingCoversMarkupAndBadBytes) {
  EXPECT_EQ(escape_html("<a href=\"x\">&'</a>"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;");
  EXPECT_EQ(escape_html(std::string("\0\x1b\n", 3)), "\\u{0}\\u{1b}\n");
  EXPECT_EQ(escape_html("\xff\u00e9"), "\ufffd\u00e9");
}

// One setting, two examples: full 1 and 1; adakv 0.5 and 1; snapkv failed on both.
ReportInput three_points() {
  ReportInput input;
  for (const std::string policy : {"full", "adakv", "snapkv"})
    for (const std::string example : {"a", "b"}) {
      Record r = synthetic::blank("niah", "inside", 512, example == "a" ? 0 : 50, 0);
      r.example = example;
      r.policy = r.policy_name = r.point = policy;
      r.budget_unit = policy == "full" ? "full" : "entries";
      r.budget = policy == "full" ? 0 : 128;
      if (policy == "snapkv") {
        r.error = "out of memory";
      } else {
        synthetic::keep(r, policy == "full" ? 512 : 128);
        r.scores["exact"] = policy == "adakv" && example == "a" ? 0.5 : 1;
        r.answer = r.scores["exact"] == 1 ? "saffron" : "saff";
      }
      input.records.push_back(r);
    }
  return input;
}

TEST(Report, TablesHaveTheFiguresAndTheHoles) {
  const Files files = files_of(three_points());
  EXPECT_THAT(files.at("results.md"), HasSubstr("| score | 128 | full |\n|:--|--:|--:|\n"));
  EXPECT_THAT(files.at("results.md"), HasSubstr("| adakv | **75.0** ± 25.0 | |\n"));
  EXPECT_THAT(files.at("results.md"), HasSubstr("| snapkv | failed: 2 | |\n"));
  EXPECT_THAT(files.at("results.md"), HasSubstr("| full | | 100.0 ± 32.9 |\n"));
  EXPECT_THAT(files.at("results.md"), HasSubstr("| adakv | 25.0 %, 5.62 MiB | |\n"));
  EXPECT_THAT(files.at("results.tex"), HasSubstr("adakv & \\textbf{75.0} {\\scriptsize$\\pm$25.0} \\\\\n"));
  EXPECT_THAT(files.at("results.tex"), HasSubstr("snapkv & failed: 2 \\\\\n"));
  EXPECT_THAT(files.at("results.csv"), HasSubstr("\nniah,inside,evicted,f32,snapkv,snapkv,entries,128,snapkv,"
                                                 "exact,yes,0,2,,,,,,,,0,0,,,,,,,,,,,,,,,,,,,0,\n"));
  EXPECT_THAT(files.at("results.csv"), HasSubstr(",exact,yes,2,0,0.75,0.5,1,bootstrap,-0.25,-0.5,0,2,"));
  EXPECT_THAT(files.at("report.html"), HasSubstr("<span class=\"hole\">failed: 2</span>"));
  EXPECT_THAT(files.at("report.html"), HasSubstr("snapkv at 128 failed: 2"));
  EXPECT_THAT(files.at("results.json"), HasSubstr("\"kept_share\": null"));
}

TEST(Report, EveryOutputSaysWhatWasChosenInSightOfTheData) {
  ReportInput input = three_points();
  for (Record& r : input.records)
    if (r.policy != "full")
      r.policy = r.policy == "adakv" ? "headkv{beta=1.1}" : "headkv{beta=2}", r.policy_name = "headkv";
  input.leaks = {{"headkv{beta=2}", "niah", 2}};
  const Files files = files_of(input);
  for (const char* name : {"results.md", "results.tex", "report.html", "results.json"}) {
    EXPECT_THAT(files.at(name), HasSubstr("(leak)")) << name;
    EXPECT_THAT(files.at(name), testing::ContainsRegex("options compared on the(se|.scored) data")) << name;
  }
  EXPECT_THAT(files.at("results.csv"), HasSubstr(",0,beta\n"));
  EXPECT_THAT(files.at("results.csv"), HasSubstr(",2,beta\n"));
  EXPECT_THAT(files.at("results.json"), HasSubstr("\"leaked\": 2"));
  for (const auto& [name, content] : files_of(three_points())) {
    EXPECT_THAT(content, testing::Not(HasSubstr("leak)"))) << name;
    EXPECT_THAT(content, testing::Not(HasSubstr("compared on"))) << name;
  }
}

TEST(Report, FidelityStandsBesideTheScoresWhereItWasMeasured) {
  ReportInput input = three_points();
  for (const auto& [name, content] : files_of(input))
    EXPECT_TRUE(name == "results.csv" || !has(content, "idelity")) << name;
  for (Record& r : input.records)
    if (r.error.empty())
      r.fidelity = r.policy == "full" ? Fidelity{5, 0, 1, 0, 1, {1, 1}}
                   : r.example == "a" ? Fidelity{5, 0.02, 0.8, 0.125, 0.5, {0.25, 0.75}}
                                      : Fidelity{5, 0.04, 1, -0.5, 0.7, {0.5, 0.9}};
  const Files files = files_of(input);
  const std::string& md = files.at("results.md");
  EXPECT_THAT(md, HasSubstr("\nFidelity: KL(full‖point), nats per token.\n\n| kl | 128 |\n|:--|--:|\n"));
  EXPECT_THAT(md, HasSubstr("| adakv | 0.03 ± 0.01 |\n"));
  EXPECT_THAT(md, HasSubstr("| adakv | 90.0 ± 10.0 |\n"));
  EXPECT_THAT(md, HasSubstr("| adakv | −0.188 ± 0.31 |\n"));
  EXPECT_THAT(md, HasSubstr("| adakv | 60.0 ± 10.0 |\n"));
  EXPECT_THAT(md, HasSubstr("| snapkv | failed: 2 |\n"));
  const std::string& tex = files.at("results.tex");
  EXPECT_THAT(tex,
              HasSubstr("fidelity to the full cache, $\\pm$ half of the 95\\,\\% interval. "
                        "Budget: entries per lane.}\n\\begin{tabular}{lr}\n\\toprule\npolicy & 128 \\\\\n"
                        "\\midrule\n\\multicolumn{2}{l}{\\emph{KL(full$\\|$point), nats per token}} \\\\\n"
                        "adakv & 0.03 {\\scriptsize$\\pm$0.01} \\\\\nsnapkv & failed: 2 \\\\\n\\midrule\n"
                        "\\multicolumn{2}{l}{\\emph{top-1 agreement, \\%}} \\\\\n"
                        "adakv & 90.0 {\\scriptsize$\\pm$10.0} \\\\\n"));
  EXPECT_THAT(tex, HasSubstr("{\\emph{$\\Delta$NLL, nats per token}} \\\\\nadakv & $-$0.188 {"));
  EXPECT_THAT(files.at("results.csv"),
              HasSubstr(",10,0.03,0.02,0.04,0.9,0.8,1,-0.1875,-0.5,0.125,0.6,0.5,0.7,0,\n"));
  EXPECT_EQ(Schema("results.schema.json").fault(files.at("results.json")), "");
  const std::string& page = files.at("report.html");
  EXPECT_EQ(html_fault(page), "");
  EXPECT_THAT(page, HasSubstr("<section id=\"fidelity\""));
  EXPECT_THAT(page, HasSubstr("<td>0.03<span class=\"range\">0.02–0.04</span></td>"));
  EXPECT_THAT(page, HasSubstr("<td>−0.188<span class=\"range\">−0.5 to +0.12</span></td>"));
  EXPECT_THAT(page, HasSubstr("attention mass on kept entries"));
}

TEST(Report, FidelityOfASweepKeepsToTheSchemas) {
  const ReportInput input = synthetic::sweep({{512, 4096}, {0, 50}, 2, true});
  const Files files = files_of(input);
  EXPECT_EQ(html_fault(files.at("report.html")), "");
  EXPECT_EQ(Schema("results.schema.json").fault(files.at("results.json")), "");
  for (const Record& record : input.records)
    ASSERT_EQ(Schema("records.schema.json").fault(record_line(record)), "");
}

TEST(Report, BenchmarksComeBeforeTheirTasks) {
  ReportInput input = synthetic::sweep({.lengths = {512}, .depths = {0, 50}, .repeats = 2, .fidelity = true});
  for (Record& record : input.records) record.task = "bench/" + record.task;
  input.main_scores.clear();
  const Files files = files_of(input);
  EXPECT_EQ(Schema("results.schema.json").fault(files.at("results.json")), "");
  const std::string &page = files.at("report.html"), &text = files.at("results.md");
  EXPECT_EQ(html_fault(page), "");
  EXPECT_LT(page.find("<section id=\"overview\""), page.find("<section id=\"curves\""));
  EXPECT_LT(text.find("## bench, mean of 3 tasks"), text.find("## bench/fables\\_qa"));
  EXPECT_THAT(text, HasSubstr("| | fables\\_qa | niah\\_numbers | niah\\_words | mean |"));
  EXPECT_THAT(text, HasSubstr("pairs of policies at one budget"));
  EXPECT_THAT(files.at("results.tex"), HasSubstr("\\rotatebox{60}{fables\\_qa}"));
  EXPECT_THAT(small_files().at("report.html"), Not(HasSubstr("<section id=\"overview\"")));
}

TEST(Report, CsvRowsHaveAsManyFieldsAsTheHead) {
  const std::string& csv = small_files().at("results.csv");
  std::set<std::size_t> counts;
  std::size_t fields = 1;
  bool quoted = false;
  for (const char c : csv) {
    quoted ^= c == '"';
    if (!quoted && c == ',') ++fields;
    if (!quoted && c == '\n') counts.insert(std::exchange(fields, 1));
  }
  EXPECT_EQ(counts.size(), 1u);
}

TEST(Report, HeatMapsHaveTheColoursOfThePapers) {
  const std::string page = files_of(three_points()).at("report.html");
  EXPECT_THAT(page, HasSubstr("<td style=\"background:#0cd79f\" title=\"1 answered\">100</td>"));
  EXPECT_THAT(page, HasSubstr("<td style=\"background:#ebb839\" title=\"1 answered\">50</td>"));
  EXPECT_THAT(page, HasSubstr("<td class=\"hole\">failed: 1</td>"));
}

TEST(Report, ChartsStayDrawableAtTheEdges) {
  const auto page_of = [](auto change) {
    ReportInput input = three_points();
    change(input.records);
    const std::string page = files_of(input).at("report.html");
    EXPECT_EQ(html_fault(page), "");
    EXPECT_FALSE(has(page, "nan"));
    EXPECT_FALSE(has(page, "\"inf"));
  };
  page_of([](auto& records) { records.clear(); });
  page_of([](auto& records) { records.resize(2); });                                    // full alone
  page_of([](auto& records) { records.erase(records.begin(), records.begin() + 4); });  // failures alone
  page_of([](auto& records) {
    for (Record& r : records) r.full_entries = r.kept = 0;
  });
  page_of([](auto& records) {
    for (Record& r : records) r.kept = r.full_entries;
  });
  page_of([](auto& records) {
    for (Record& r : records) r.kept = 3 * r.full_entries;
  });
  page_of([](auto& records) {
    for (Record& r : records) r.kept_by_layer.assign(2, 0);
  });
  page_of([](auto& records) {
    for (Record& r : records) r.scores.clear();
  });
  for (const double kl : {0.0, 5e-324, 1e-12, 1e300})
    page_of([=](auto& records) {
      for (Record& r : records)
        if (r.error.empty()) r.fidelity = Fidelity{1, kl, 0, kl, 0, {0, 0}};
    });
}

}  // namespace
}  // namespace evictbench
