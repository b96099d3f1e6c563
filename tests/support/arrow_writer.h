#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evictbench {

// A flatbuffer in the making: a table's fields by their index, each a number of some bytes or what an offset leads to.
struct FlatTable {
  struct Field {
    std::string inline_bytes;           // a number
    std::vector<FlatTable> child;       // or a table (one)
    std::optional<std::string> vector;  // or a count and elements, as they stand
    std::vector<FlatTable> tables;      // or a list of tables
    bool list = false, absent = true;
  };
  std::vector<Field> fields;

  template <class T>
  FlatTable& number(std::size_t index, T value) {
    at(index).inline_bytes.assign(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  FlatTable& table(std::size_t index, FlatTable value) {
    at(index).child = {std::move(value)};
    return *this;
  }
  FlatTable& vector(std::size_t index, std::uint32_t count, const std::string& bytes) {
    std::string all(reinterpret_cast<const char*>(&count), 4);
    at(index).vector = all + bytes;
    return *this;
  }
  FlatTable& text(std::size_t index, const std::string& value) {
    return vector(index, static_cast<std::uint32_t>(value.size()), value + '\0');
  }
  FlatTable& tables(std::size_t index, std::vector<FlatTable> value) {
    at(index).tables = std::move(value);
    at(index).list = true;
    return *this;
  }

  // Its bytes with those that it leads to, so that they may stand anywhere: vtable, table, then what offsets lead to. `place`
  // is the byte of the table itself.
  std::string bytes(std::size_t& place) const {
    std::string vtable(4 + 2 * fields.size(), '\0'), body(4, '\0');
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].absent) continue;
      put<std::uint16_t>(vtable, 4 + 2 * i, body.size());
      body += fields[i].inline_bytes.empty() ? std::string(4, '\0') : fields[i].inline_bytes;
    }
    put<std::uint16_t>(vtable, 0, vtable.size());
    put<std::uint16_t>(vtable, 2, body.size());
    put<std::int32_t>(body, 0, vtable.size());
    place = vtable.size();
    std::string out = vtable + body;
    for (std::size_t i = 0; i < fields.size(); ++i)
      if (!fields[i].absent && fields[i].inline_bytes.empty()) {
        std::uint16_t field = 0;
        std::memcpy(&field, out.data() + 4 + 2 * i, 2);
        append(out, place + field, fields[i]);
      }
    return out;
  }
  std::string root() const {
    std::size_t place = 0;
    const std::string all = bytes(place);
    std::string out(4, '\0');
    put<std::uint32_t>(out, 0, place + 4);
    out += all;
    out.resize((out.size() + 7) / 8 * 8);
    return out;
  }

 private:
  Field& at(std::size_t index) {
    if (fields.size() <= index) fields.resize(index + 1);
    fields[index].absent = false;
    return fields[index];
  }
  template <class T>
  static void put(std::string& bytes, std::size_t at, std::size_t value) {
    const auto narrow = static_cast<T>(value);
    std::memcpy(bytes.data() + at, &narrow, sizeof narrow);
  }
  static void append(std::string& out, std::size_t slot, const Field& field) {
    const auto lead = [&](std::size_t from, const FlatTable& table) {
      std::size_t place = 0;
      const std::string more = table.bytes(place);
      put<std::uint32_t>(out, from, out.size() + place - from);
      out += more;
    };
    if (!field.child.empty()) return lead(slot, field.child[0]);
    put<std::uint32_t>(out, slot, out.size() - slot);
    if (!field.list) {
      out += *field.vector;
      return;
    }
    const std::size_t first = out.size() + 4;
    out.resize(first + 4 * field.tables.size());
    put<std::uint32_t>(out, first - 4, field.tables.size());
    for (std::size_t i = 0; i < field.tables.size(); ++i) lead(first + 4 * i, field.tables[i]);
  }
};

// An Arrow IPC stream of text columns, with every number that may lie.
struct ArrowParts {
  std::vector<std::string> names{"input", "question", "target"};
  std::vector<std::vector<std::string>> columns{{"a", "bc"}, {"q", "r"}, {"", "t\xC3\xA9"}};
  bool large = false;
  std::int16_t version = 4, endianness = 0;
  std::uint8_t schema_kind = 1, batch_kind = 3, type = 0;  // type 0: as `large` says
  bool dictionary = false, children = false, compressed = false, batch_header = true, second_schema = false;
  bool end_mark = true;
  std::optional<std::int64_t> rows{}, node_rows{}, body_bytes{};
  std::int64_t absent = 0;
  std::size_t nodes_left_out = 0, buffers_left_out = 0;
  std::vector<std::pair<std::size_t, std::int64_t>>
      buffer_numbers{};  // (offset or length by its place in the list, value)
  std::vector<std::pair<std::size_t, std::int64_t>> text_offsets{};  // of the first column: (which, value)
  std::string behind{};

  std::string stream() const {
    std::string out = message(schema_kind, schema(), 0);
    if (second_schema) out += out;
    if (!columns.empty() && batch_kind != 0) out += batch();
    if (end_mark) out += std::string("\xFF\xFF\xFF\xFF\0\0\0\0", 8);
    return out + behind;
  }

 private:
  template <class T>
  static std::string raw(T value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }
  std::string message(std::uint8_t kind, const FlatTable& header, std::int64_t body) const {
    FlatTable root;
    root.number(0, version).number(1, kind);
    if (batch_header || kind != batch_kind) root.table(2, header);
    const std::string metadata = root.number(3, body).root();
    return "\xFF\xFF\xFF\xFF" + raw(static_cast<std::int32_t>(metadata.size())) + metadata;
  }
  FlatTable schema() const {
    std::vector<FlatTable> fields;
    for (const std::string& name : names) {
      FlatTable field;
      field.text(0, name).number<std::uint8_t>(1, 1);
      field.number<std::uint8_t>(2, type != 0 ? type : large ? 20 : 5).table(3, {});
      if (dictionary) field.table(4, {});
      field.tables(5, children ? std::vector<FlatTable>(1) : std::vector<FlatTable>());
      fields.push_back(field);
    }
    FlatTable out;
    return out.number(0, endianness).tables(1, fields);
  }
  std::string offset(std::int64_t value) const {
    return large ? raw(value) : raw(static_cast<std::int32_t>(value));
  }

  std::string batch() const {
    const std::int64_t count = rows.value_or(static_cast<std::int64_t>(columns[0].size()));
    std::string nodes, body;
    std::vector<std::int64_t> numbers;
    const auto add = [&](const std::string& bytes) {
      numbers.push_back(static_cast<std::int64_t>(body.size()));
      numbers.push_back(static_cast<std::int64_t>(bytes.size()));
      body += bytes;
      body.resize((body.size() + 7) / 8 * 8);
    };
    for (std::size_t c = 0; c < columns.size(); ++c) {
      nodes += raw(node_rows.value_or(count)) + raw(absent);
      std::string data;
      std::vector<std::int64_t> ends{0};
      for (const std::string& text : columns[c])
        ends.push_back(static_cast<std::int64_t>((data += text).size()));
      if (c == 0)
        for (const auto& [which, value] : text_offsets) ends.at(which) = value;
      std::string offsets;
      for (const std::int64_t end : ends) offsets += offset(end);
      add("");
      add(offsets);
      add(data);
    }
    for (const auto& [which, value] : buffer_numbers) numbers.at(which) = value;
    std::string buffers;
    for (const std::int64_t number : numbers) buffers += raw(number);
    nodes.resize(nodes.size() - 16 * nodes_left_out);
    buffers.resize(buffers.size() - 16 * buffers_left_out);
    FlatTable header;
    header.number(0, count).vector(1, static_cast<std::uint32_t>(nodes.size() / 16), nodes);
    header.vector(2, static_cast<std::uint32_t>(buffers.size() / 16), buffers);
    if (compressed) header.table(3, {});
    return message(batch_kind, header, body_bytes.value_or(static_cast<std::int64_t>(body.size()))) + body;
  }
};

}  // namespace evictbench
