// Looking inside: inspect tokens|logits|kept|model, and generate.
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/cpu/device.h"
#include "core/io/file.h"
#include "core/io/json.h"
#include "harness/commands.h"
#include "harness/signals.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

using Out = nlohmann::ordered_json;

void print(const Out& json) { std::puts(json.dump(-1, ' ', false, Out::error_handler_t::replace).c_str()); }

[[noreturn]] void fail(const Point& point, const std::string& error) {
  if (error.starts_with("error[")) throw Error(Exit::kFailedPoints, error);
  reject(Exit::kFailedPoints, {"E-RN-01", "policy " + point.name, "", error, "an answer",
                               "choose another budget or prompt, or check the model"});
}

// The answer of one point to one prompt, question inside, first token evicted.
Answer answer_of(Loaded& loaded, const Tokens& ids, const Point& point, int max_new) {
  const DecodeLimits limits{.max_new = max_new, .end_tokens = loaded.checkpoint.config().eos_tokens};
  const Prompt prompt{ids, {}};
  Answer answer = evaluate(*loaded.device, *loaded.model, prompt, std::span(&point, 1), {}, limits, nullptr,
                           check_signals_unstored)
                      .front();
  if (!answer.error.empty()) fail(point, answer.error);
  return answer;
}

constexpr const char* kShorten = "shorten the input or --max-new";

struct TokensCommand {
  std::string model;
  TextInput input;
  std::string messages;  // a file of them
  bool json = false;

  void declare(CLI::App& app) {
    CLI::Option_group* text = input.declare(app);
    text->add_option("--messages", messages, "a conversation for --chat: a JSON list of {role, content}");
  }

  int run() const {
    const auto tokenizer = load_tokenizer(model);
    if (!messages.empty()) return show_conversation(*tokenizer);
    const Tokens ids = input.tokens(model, tokenizer.get(), tokenizer->vocabulary());
    if (json)
      print(Out{{"ids", ids}, {"decoded", tokenizer->decode(ids, true)}});
    else
      list(*tokenizer, ids);
    return 0;
  }

  // Special tokens that a message spells become such tokens, as in transformers.
  int show_conversation(const Tokenizer& tokenizer) const {
    const std::string text =
        render(load_chat_template(model, input.chat), read_messages(messages), true, messages);
    const Tokens ids = tokenizer.encode(text, {.add_special = false, .parse_special = true});
    if (json) {
      print(Out{{"text", text}, {"ids", ids}, {"decoded", tokenizer.decode(ids, true)}});
    } else {
      fmt::print("{}\n\n", text);
      list(tokenizer, ids);
    }
    return 0;
  }

  // Every id with the text that it completes.
  static void list(const Tokenizer& tokenizer, const Tokens& ids) {
    const auto stream = tokenizer.stream(true);
    const auto quoted = [](const std::string& text) {
      return Out(text).dump(-1, ' ', false, Out::error_handler_t::replace);
    };
    for (std::size_t i = 0; i < ids.size(); ++i) {
      std::string text = stream->add(ids[i]);
      if (i + 1 == ids.size()) text += stream->finish();
      fmt::print("{:>8}  {}\n", ids[i], quoted(text));
    }
  }
};

// "[..],[..]": the shortest text that reads back as the same floats.
std::string rows_text(const std::vector<std::vector<float>>& rows) {
  std::string text;
  for (const std::vector<float>& row : rows)
    text += fmt::format("{}[{}]", text.empty() ? "" : ",", fmt::join(row, ","));
  return text;
}

struct LogitsCommand {
  std::string model;
  Where where;
  TextInput input;
  bool all = false, json = false;

  int run() const {
    Loaded loaded(model, where);
    const Tokens ids =
        input.tokens(loaded.checkpoint.path(), loaded.checkpoint.tokenizer_if_text(!input.ids.empty()),
                     loaded.checkpoint.config().vocabulary);
    check_length(loaded.checkpoint, ids.size(), kShorten);
    std::vector<std::vector<float>> rows;
    PassOptions options{.tap = nullptr, .all_logits = {}, .checkpoint = check_signals_unstored};
    if (all)
      options.all_logits = [&](int, const Tensor& logits) {
        const auto host = logits.to_host<float>();
        const auto V = static_cast<std::ptrdiff_t>(logits.columns());
        for (std::ptrdiff_t r = 0; r < logits.rows(); ++r)
          rows.emplace_back(host.begin() + r * V, host.begin() + (r + 1) * V);
      };
    const auto snapshot = loaded.model->prefill(*loaded.device, ids, {}, options);
    if (!all) rows.push_back(snapshot->last_logits);
    const std::size_t first = all ? 0 : ids.size() - 1;
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (!std::ranges::all_of(rows[i], [](float x) { return std::isfinite(x); }))
        throw Error(
            Exit::kInput,
            fmt::format("error[E-RN-02] {}:position {}: a logit that is not a number; expected finite "
                        "ones. Mend: look at the weights, or at the compute mode's range.",
                        model, first + i));
    std::vector<std::size_t> positions;
    for (std::size_t i = 0; i < rows.size(); ++i) positions.push_back(first + i);
    if (json) {
      std::puts(
          fmt::format("{{\"positions\":[{}],\"logits\":[{}]}}", fmt::join(positions, ","), rows_text(rows))
              .c_str());
      return 0;
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto top = std::ranges::max_element(rows[i]);
      fmt::print("position {:>6}  best id {:>6}  logit {:.6f}\n", positions[i], top - rows[i].begin(), *top);
    }
    return 0;
  }
};

struct KeptCommand {
  std::string model;
  Where where;
  TextInput input;
  PolicyInput policy;
  std::string batch;  // a file of prompts and points
  bool json = false;

  void declare(CLI::App& app) {
    input.declare(app)->add_option(
        "--batch", batch,
        "a file of lines {\"ids\": [..], \"points\": [{\"policy\": \"snapkv{window=8}\", "
        "\"budget\": 64}, ..]}, answered by a line of JSON each");
    where.declare(app);
    policy.declare(app);
  }

  int run() const {
    if (!batch.empty()) return run_batch();
    const Point point = policy.point();
    Loaded loaded(model, where);
    policy.check(point, loaded.checkpoint);
    const Tokens ids =
        input.tokens(loaded.checkpoint.path(), loaded.checkpoint.tokenizer_if_text(!input.ids.empty()),
                     loaded.checkpoint.config().vocabulary);
    const Seen seen(loaded, ids, {point});
    const Selection& selection = seen.kept[0].selection;
    if (json) {
      Out out{{"layers", selection.layers()}, {"kv_heads", selection.heads()}, {"tokens", ids.size()}};
      out["kept"] = lanes_of(selection);
      out["bytes"] = seen.bytes(0);
      print(out);
      return 0;
    }
    fmt::print("{} of {} entries, {} bytes\n", seen.kept[0].entries(),
               std::int64_t{selection.lanes()} * std::ssize(ids), seen.bytes(0));
    for (int l = 0; l < selection.layers(); ++l) {
      fmt::print("layer {:>3}:", l);
      for (int h = 0; h < selection.heads(); ++h)
        fmt::print(" {:>6}", selection.lane(l * selection.heads() + h).size());
      fmt::print("\n");
    }
    return 0;
  }

  // Every line is one prompt, prefilled once for all its points.
  int run_batch() const {
    std::istringstream lines(read_text(batch, Exit::kInput, "E-TX"));
    Loaded loaded(model, where);
    std::size_t number = 0;
    for (std::string line; std::getline(lines, line);) {
      const Json request = Json::from_text(line, batch, {.code_prefix = "E-IK", .first_line = ++number});
      std::vector<Point> points;
      for (std::size_t i = 0; i < request.at("points").size(); ++i)
        points.push_back(point_of(request.at("points")[i]));
      const Seen seen(loaded, ids_of(request.at("ids"), loaded.checkpoint.config().vocabulary), points);
      Out answers = Out::array();
      for (std::size_t p = 0; p < points.size(); ++p)
        answers.push_back({{"policy", points[p].policy->id()},
                           {"kv_heads", seen.kept[p].selection.heads()},
                           {"kept", lanes_of(seen.kept[p].selection)},
                           {"bytes", seen.bytes(p)}});
      print(Out{{"layers", loaded.checkpoint.config().layers}, {"points", std::move(answers)}});
    }
    return 0;
  }

 private:
  // What points keep of one prompt.
  struct Seen {
    Seen(const Loaded& loaded, const Tokens& ids, const std::vector<Point>& points) {
      check_length(loaded.checkpoint, ids.size(), kShorten);
      const KvShape shape = loaded.model->shape(static_cast<int>(ids.size()));
      snapshot =
          loaded.model->prefill(*loaded.device, ids, needs_of(points, shape),
                                {.tap = nullptr, .all_logits = {}, .checkpoint = check_signals_unstored});
      std::vector<std::string> errors;
      kept = select_all(points, snapshot->observation, errors);
      for (std::size_t p = 0; p < points.size(); ++p)
        if (!errors[p].empty()) fail(points[p], errors[p]);
    }
    std::int64_t bytes(std::size_t point) const {
      return RaggedCache(snapshot, std::span(kept).subspan(point, 1), snapshot->shape().tokens, 1)
          .retained_bytes(0);
    }

    std::shared_ptr<const Snapshot> snapshot;
    std::vector<Kept> kept;
  };

  static Out lanes_of(const Selection& selection) {  // [L][heads][slots]
    Out layers = Out::array();
    for (int l = 0; l < selection.layers(); ++l) {
      Out heads = Out::array();
      for (int h = 0; h < selection.heads(); ++h) {
        const auto lane = selection.lane(l * selection.heads() + h);
        heads.push_back(std::vector<std::int32_t>(lane.begin(), lane.end()));
      }
      layers.push_back(std::move(heads));
    }
    return layers;
  }

  static Tokens ids_of(const Json& from, int vocabulary) {
    Tokens ids;
    for (std::size_t i = 0; i < from.size(); ++i)
      ids.push_back(static_cast<std::int32_t>(from[i].integer(0, vocabulary - 1)));
    if (ids.empty()) from.reject("01", "no ids", "one id or more", "name the ids of a prompt");
    return ids;
  }

  static Point point_of(const Json& from) {
    const std::string& spec = from.at("policy").string();
    std::shared_ptr<const Policy> made;
    try {
      made = make_policy(spec);
    } catch (const Error& error) {
      throw Error(Exit::kInput, error.what());
    }
    if (!made->evicts()) return {spec, made, "full", 0};
    return {spec, made, "entries", from.at("budget").number(1, INT32_MAX)};
  }
};

struct FidelityCommand {
  std::string model;
  Where where;
  TextInput input;
  PolicyInput policy;
  std::string along;  // ids; empty: the full cache's answer
  int max_new = 64;
  bool json = false;

  int run() const {
    const Point point = policy.point();
    Loaded loaded(model, where);
    policy.check(point, loaded.checkpoint);
    const DecoderConfig& config = loaded.checkpoint.config();
    const auto ids_of = [&](const TextInput& from) {
      return from.tokens(loaded.checkpoint.path(), loaded.checkpoint.tokenizer_if_text(!from.ids.empty()),
                         config.vocabulary);
    };
    const Prompt prompt{ids_of(input), {}};
    std::vector<std::vector<float>> full, own;  // [positions][V]
    Continuation continuation{.kind = Continuation::Kind::kAnswer};
    continuation.heard = [&](int which, std::span<const float> logits) {
      (which < 0 ? full : own).emplace_back(logits.begin(), logits.end());
    };
    if (!along.empty()) {
      continuation.kind = Continuation::Kind::kReference;
      continuation.reference = ids_of({.text = {}, .file = {}, .ids = along});
    }
    // Where the continuation is given, nobody asks for an answer.
    const DecodeLimits limits{.max_new = along.empty() ? max_new : 1, .end_tokens = config.eos_tokens};
    check_length(loaded.checkpoint,
                 prompt.context.size() +
                     std::max(continuation.reference.size(), static_cast<std::size_t>(limits.max_new)),
                 kShorten);
    const Answer answer = evaluate(*loaded.device, *loaded.model, prompt, std::span(&point, 1), {}, limits,
                                   nullptr, check_signals_unstored, continuation)
                              .front();
    if (!answer.error.empty()) fail(point, answer.error);
    const Fidelity& f = *answer.fidelity;  // the last prompt token is fed again, so there is a position
    if (json)
      std::puts(fmt::format("{{\"tokens\":{},\"kl\":{},\"agreement\":{},\"delta_nll\":{},\"mass\":{},"
                            "\"mass_by_layer\":[{}],\"full\":[{}],\"point\":[{}]}}",
                            f.tokens, f.kl, f.agreement, f.delta_nll, f.mass, fmt::join(f.mass_by_layer, ","),
                            rows_text(full), rows_text(own))
                    .c_str());
    else
      fmt::print(
          "{} tokens: KL {:.6g} nats, agreement {:.1f} %, delta NLL {:+.6g} nats, attention mass {:.1f} %\n",
          f.tokens, f.kl, 100 * f.agreement, f.delta_nll, 100 * f.mass);
    return 0;
  }
};

struct ModelCommand {
  std::string model;
  bool json = false;

  int run() const {
    const Checkpoint checkpoint(model);
    const DecoderConfig& c = checkpoint.config();
    const Tokenizer* tokenizer = checkpoint.tokenizer_if_text(true);
    std::vector<std::string> notes = checkpoint.notes();
    const std::string chat = template_name(notes);
    const KvShape one = checkpoint.shape(1);
    const std::int64_t kv_bytes = one.lanes() * one.entry_bytes();
    const Out facts{{"model_type", c.model_type},
                    {"parameters", checkpoint.parameters()},
                    {"weight_bytes", checkpoint.weight_bytes()},
                    {"layers", c.layers},
                    {"hidden", c.hidden},
                    {"intermediate", c.intermediate},
                    {"query_heads", c.q_heads},
                    {"kv_heads", c.kv_heads},
                    {"query_heads_per_kv_head", c.q_heads / c.kv_heads},
                    {"head_dim", c.head_dim},
                    {"vocabulary", c.vocabulary},
                    {"max_positions", c.max_positions},
                    {"context", c.context()},
                    {"positions", c.learned_positions() ? "learned" : "rotary"},
                    {"rope", rope_facts(c)},
                    {"windows", window_facts(c)},
                    {"tied_embeddings", c.tied_embeddings},
                    {"eos_tokens", c.eos_tokens},
                    {"kv_bytes_per_token_f32", kv_bytes},
                    {"tokenizer", tokenizer ? std::string(tokenizer->kind()) : "none"},
                    {"tokenizer_ids", tokenizer ? tokenizer->vocabulary() : 0},
                    {"chat_template", chat},
                    {"notes", notes}};
    if (json) {
      print(facts);
      return 0;
    }
    for (const auto& [key, value] : facts.items())
      fmt::print("{:<26} {}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
    return 0;
  }

  static Out rope_facts(const DecoderConfig& c) {
    Out all = Out::array();
    for (const RopeConfig& rope : c.ropes) {
      Out one{{"type", name_of(rope.kind)}, {"theta", rope.theta}, {"dims", rope.dim}};
      if (rope.kind != RopeConfig::Kind::kDefault) one["factor"] = rope.factor;
      if (rope.original_max_positions > 0) one["original_max_positions"] = rope.original_max_positions;
      all.push_back(std::move(one));
    }
    return all;
  }

  // Layers by the number of keys that a query of theirs sees; 0: all.
  static Out window_facts(const DecoderConfig& c) {
    std::map<int, int> layers;
    for (const LayerForm& form : c.forms) ++layers[form.window];
    Out all = Out::array();
    for (const auto& [window, count] : layers) all.push_back({{"window", window}, {"layers", count}});
    return all;
  }

  // What cannot be told from the checkpoint goes to the notes.
  std::string template_name(std::vector<std::string>& notes) const {
    try {
      return load_chat_template(model, "auto").name;
    } catch (const Error& error) {
      notes.push_back(error.what());
      return "unknown";
    }
  }
};

struct GenerateCommand {
  std::string model;
  Where where;
  TextInput input;
  PolicyInput policy;
  int max_new = 64;
  bool json = false;

  int run() const {
    const Point point = policy.point();
    Loaded loaded(model, where);
    policy.check(point, loaded.checkpoint);
    const Tokens ids =
        input.tokens(loaded.checkpoint.path(), loaded.checkpoint.tokenizer_if_text(!input.ids.empty()),
                     loaded.checkpoint.config().vocabulary);
    check_length(loaded.checkpoint, ids.size() + static_cast<std::size_t>(max_new), kShorten);
    const Answer answer = answer_of(loaded, ids, point, max_new);
    const Tokenizer* tokenizer = loaded.checkpoint.tokenizer_if_text(!input.ids.empty());
    const std::string text = tokenizer ? tokenizer->decode(answer.tokens) : "";
    if (json)
      print(Out{{"ids", answer.tokens}, {"text", text}});
    else
      fmt::print("{}\n", text);
    return 0;
  }
};

// Declares a command whose fields live as long as the app does.
template <class Command>
std::shared_ptr<Command> declare(CLI::App& app, const std::string& name, const std::string& what,
                                 Action& action, CLI::App** sub) {
  auto command = std::make_shared<Command>();
  *sub = app.add_subcommand(name, what);
  (*sub)->add_option("model", command->model, "a Hugging Face folder or a .gguf file")->required();
  (*sub)->add_flag("--json", command->json, "one JSON object");
  (*sub)->callback([command, &action] { action = [command] { return command->run(); }; });
  return command;
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  CLI::App* inspect = app.add_subcommand("inspect", "look inside a model");
  inspect->require_subcommand(1);
  CLI::App* sub = nullptr;
  auto tokens = declare<TokensCommand>(*inspect, "tokens", "text to token ids and back", action, &sub);
  tokens->declare(*sub);
  auto logits =
      declare<LogitsCommand>(*inspect, "logits", "logits of the last position, or of all", action, &sub);
  logits->input.declare(*sub);
  logits->where.declare(*sub);
  sub->add_flag("--all", logits->all, "of every position");
  auto kept = declare<KeptCommand>(*inspect, "kept", "what a policy keeps of a prompt", action, &sub);
  kept->declare(*sub);
  auto fidelity = declare<FidelityCommand>(*inspect, "fidelity", "how near a policy stays to the full cache",
                                           action, &sub);
  fidelity->input.declare(*sub);
  fidelity->where.declare(*sub);
  fidelity->policy.declare(*sub);
  sub->add_option("--continuation", fidelity->along, "token ids; the full cache's own answer if absent");
  sub->add_option("--max-new", fidelity->max_new, "tokens of that answer at most")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  declare<ModelCommand>(*inspect, "model", "what a checkpoint is", action, &sub);
}

void add_generate(CLI::App& app, Action& action) {
  CLI::App* sub = nullptr;
  auto generate =
      declare<GenerateCommand>(app, "generate", "continue a prompt, greedily, under a policy", action, &sub);
  generate->input.declare(*sub);
  generate->where.declare(*sub);
  generate->policy.declare(*sub);
  sub->add_option("--max-new", generate->max_new, "new tokens at most")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
}

}  // namespace evictbench
