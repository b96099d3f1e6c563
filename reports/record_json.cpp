#include "reports/record_json.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <initializer_list>
#include <limits>
#include <set>

#include "core/error.h"
#include "core/io/json.h"
#include "reports/json_text.h"

namespace evictbench {
namespace {

constexpr std::string_view kBeforeCheck = ",\"check\":\"", kAfterCheck = "\"}";
constexpr std::size_t kCheckDigits = 16;

struct Range {
  double least, most;
};
constexpr Range kCount{0, 9007199254740992.0};  // exact in a double, as readers in other languages have them
constexpr Range kSmallCount{0, std::numeric_limits<int>::max()};
constexpr Range kTokenId{0, std::numeric_limits<std::int32_t>::max()};
constexpr Range kShare{0, 1}, kNats{0, std::numeric_limits<double>::max()};
constexpr Range kDifference{std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max()};
using Words = std::initializer_list<std::string_view>;

template <class SomeFidelity, class Visitor>
void visit_fidelity(SomeFidelity& f, Visitor&& visit) {
  visit("tokens", f.tokens, Range{1, kSmallCount.most});
  visit("kl", f.kl, kNats);
  visit("agreement", f.agreement, kShare);
  visit("delta_nll", f.delta_nll, kDifference);
  visit("mass", f.mass, kShare);
  visit("mass_by_layer", f.mass_by_layer, kShare);
}

// All members in the order of the line: the one place that names them, with visit_fidelity().
template <class SomeRecord, class Visitor>
void visit_members(SomeRecord& r, Visitor&& visit) {
  visit("task", r.task);
  visit("example", r.example);
  visit("length", r.length, kSmallCount);
  visit("depth", r.depth, Range{-1, 100});
  visit("question", r.question, Words{"inside", "after"});
  visit("first_token", r.first_token, Words{"evicted", "full"});
  visit("policy", r.policy);
  visit("policy_name", r.policy_name);
  visit("budget_unit", r.budget_unit, Words{"entries", "ratio", "bytes", "full"});
  visit("budget", r.budget, kCount);
  visit("compute", r.compute);
  visit("point", r.point);
  visit("answer_ids", r.answer_ids, kTokenId);
  visit("answer", r.answer);
  visit("scores", r.scores, Range{0, 1});
  visit("error", r.error);
  visit("prompt_tokens", r.prompt_tokens, kSmallCount);
  visit("asked", r.asked, kCount);
  visit("kept", r.kept, kCount);
  visit("full_entries", r.full_entries, kCount);
  visit("retained_bytes", r.retained_bytes, kCount);
  visit("kept_by_layer", r.kept_by_layer, kCount);
  visit("prompt_hash", r.prompt_hash);
  visit("fidelity", r.fidelity);  // absent from the line where it was not measured
}

std::string check_of(std::string_view bytes) {
  return fmt::format("{:016x}", XXH3_64bits(bytes.data(), bytes.size()));
}

class Writer {
 public:
  void operator()(const char* name, const std::string& value) { out_.key(name).text(value); }
  void operator()(const char* name, const std::string& value, Words words) {
    bool known = false;
    for (const std::string_view word : words) known |= value == word;
    require(known, "a record holds a word that its schema does not know");
    (*this)(name, value);
  }
  template <class Number>
  void operator()(const char* name, const Number& value, Range range) {
    out_.key(name);
    put(value, range);
  }
  template <class Number>
  void operator()(const char* name, const std::vector<Number>& values, Range range) {
    out_.key(name).open('[');
    for (const Number value : values) put(value, range);
    out_.close();
  }
  void operator()(const char* name, const std::map<std::string, double>& values, Range range) {
    out_.key(name).open('{');
    std::set<std::string> names;
    for (const auto& [key, value] : values) {
      require(names.insert(valid_utf8(key)).second, "two scores of a record have one name");
      out_.key(key);
      put(value, range);
    }
    out_.close();
  }
  void operator()(const char* name, const std::optional<Fidelity>& value) {
    if (!value) return;
    out_.key(name).open('{');
    visit_fidelity(*value, *this);
    out_.close();
  }
  JsonText& out() { return out_; }

 private:
  template <class Number>
  void put(Number value, Range range) {
    const auto number = static_cast<double>(value);
    require(number >= range.least && number <= range.most, "a number of a record is outside its range");
    if constexpr (std::is_integral_v<Number>)
      out_.integer(value);
    else
      out_.number(value);
  }
  JsonText out_;
};

class Reader {
 public:
  explicit Reader(const Json& record) : record_(record) {}

  void operator()(const char* name, std::string& value) { value = take(name).string(); }
  void operator()(const char* name, std::string& value, Words words) {
    const Json member = take(name);
    value = member.string();
    for (const std::string_view word : words)
      if (value == word) return;
    member.reject("05", fmt::format("\"{}\"", printable(value)),
                  fmt::format("one of {}", fmt::join(words, ", ")), "use the version that wrote this file");
  }
  template <class Number>
  void operator()(const char* name, Number& value, Range range) {
    get(take(name), value, range);
  }
  template <class Number>
  void operator()(const char* name, std::vector<Number>& values, Range range) {
    const Json array = take(name);
    values.resize(array.size());
    for (std::size_t i = 0; i < values.size(); ++i) get(array[i], values[i], range);
  }
  void operator()(const char* name, std::map<std::string, double>& values, Range range) {
    for (const auto& [key, value] : take(name).items()) get(value, values[key], range);
  }
  void operator()(const char* name, std::optional<Fidelity>& value) {
    known_.insert(name);
    const auto member = record_.find(name);
    if (!member) return;
    Reader inner(*member);
    visit_fidelity(value.emplace(), inner);
    inner.finish();
  }
  void finish() {
    for (const auto& [name, value] : record_.items())
      if (!known_.contains(name))
        value.reject("04", fmt::format("unknown member \"{}\"", printable(name)), "a record of this schema",
                     "use the version that wrote this file");
  }
  Json take(const char* name) {
    known_.insert(name);
    return record_.at(name);
  }

 private:
  template <class Number>
  static void get(const Json& json, Number& value, Range range) {
    if constexpr (std::is_integral_v<Number>)
      value = static_cast<Number>(
          json.integer(static_cast<std::int64_t>(range.least), static_cast<std::int64_t>(range.most)));
    else
      value = json.number(range.least, range.most);
  }
  const Json& record_;
  std::set<std::string> known_;
};

void verify_check(std::string_view line, const std::string& file, std::size_t number) {
  constexpr std::size_t kTail = kBeforeCheck.size() + kCheckDigits + kAfterCheck.size();
  const auto refuse = [&](const char* code, const std::string& found, const std::string& expected) {
    reject(Exit::kInput,
           {.code = code,
            .file = file,
            .position = std::to_string(number),
            .found = found,
            .expected = expected,
            .mend = "the line is damaged; restore the file, or take the line out and run again"});
  };
  const std::string_view body = line.substr(0, line.size() - std::min(line.size(), kTail));
  const std::string_view tail = line.substr(body.size());
  if (tail.size() != kTail || !tail.starts_with(kBeforeCheck) || !tail.ends_with(kAfterCheck))
    refuse("E-RC-01", "a line without its check", "a record that ends in a check of 16 digits");
  const std::string_view stored = tail.substr(kBeforeCheck.size(), kCheckDigits);
  if (const std::string computed = check_of(body); stored != computed)
    refuse("E-RC-02", fmt::format("the check '{}'", printable(stored)), "'" + computed + "'");
}

}  // namespace

std::string record_line(const Record& record) {
  Writer writer;
  writer.out().open('{').key("schema").integer(kRecordSchema);
  visit_members(record, writer);
  std::string line = writer.out().str();
  const std::string check = check_of(line);
  return line.append(kBeforeCheck).append(check).append(kAfterCheck);
}

Record parse_record(std::string_view line, const std::string& file, std::size_t number) {
  verify_check(line, file, number);
  const Json json = Json::from_text(
      std::string(line), file,
      {.exit = Exit::kInput, .code_prefix = "E-RC", .depth = 4, .first_byte = {}, .first_line = number});
  Reader reader(json);
  reader.take("check");
  if (const Json schema = reader.take("schema"); schema.integer(1) != kRecordSchema)
    schema.reject("03", fmt::format("a record of schema version {}", schema.integer()),
                  fmt::format("version {}", kRecordSchema), "use the version that wrote this file");
  Record record;
  visit_members(record, reader);
  reader.finish();
  return record;
}

}  // namespace evictbench
