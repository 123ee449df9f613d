// Reads LoRAs: updates that run beside weights, and changes of the weights themselves.
#include <map>

#include "addon/convert.h"

namespace imageforge::addon {

namespace {

template <typename Value>
Value read_word(const Napi::Value & value, const std::string & what,
                const std::map<std::string, Value> & words) {
    const auto found = words.find(read_text(value, what));
    if (found == words.end()) refuse(what, "a word that is known here");
    return found->second;
}

LoraTarget read_update(const Napi::Object & row, const std::string & place) {
    LoraTarget update;
    update.target = read_text(row.Get("target"), place + ".target");
    update.up = read_text(row.Get("up"), place + ".up");
    update.down = read_text(row.Get("down"), place + ".down");
    update.scale = static_cast<float>(read_number(row.Get("scale"), place + ".scale"));
    const Napi::Value first = row.Get("row");
    if (!is_missing(first)) update.row = read_integer(first, place + ".row", 0, max_dimension);
    return update;
}

WeightChange read_change(const Napi::Object & row, const std::string & place) {
    static const std::map<std::string, ChangeKind> kinds = {
        {"product", ChangeKind::Product},
        {"hadamard", ChangeKind::Hadamard},
        {"kronecker", ChangeKind::Kronecker},
        {"rotation", ChangeKind::Rotation},
        {"generalised", ChangeKind::Generalised},
        {"scaling", ChangeKind::Scaling},
        {"value", ChangeKind::Value},
    };
    static const std::map<std::string, Axis> axes = {{"rows", Axis::Rows}, {"columns", Axis::Columns}};
    const auto has = [&](const char * field) { return !is_missing(row.Get(field)); };
    WeightChange change;
    change.target = read_text(row.Get("target"), place + ".target");
    change.kind = read_word(row.Get("kind"), place + ".kind", kinds);
    const Napi::Object factors = read_object(row.Get("factors"), place + ".factors");
    const Napi::Array parts = factors.GetPropertyNames();
    for (uint32_t i = 0; i < parts.Length(); ++i) {
        const std::string part = parts.Get(i).As<Napi::String>();
        change.factors[part] = read_text(factors.Get(part), place + ".factors." + part);
    }
    change.scale = static_cast<float>(read_number(row.Get("scale"), place + ".scale"));
    if (has("row")) change.row = read_integer(row.Get("row"), place + ".row", 0, max_dimension);
    if (has("rows")) change.rows = read_integer(row.Get("rows"), place + ".rows", 1, max_dimension);
    change.swapped = has("swapped");
    change.transposed = has("transposed");
    if (has("magnitude")) change.magnitude = read_text(row.Get("magnitude"), place + ".magnitude");
    if (has("axis")) change.axis = read_word(row.Get("axis"), place + ".axis", axes);
    if (has("constraint"))
        change.constraint = static_cast<float>(read_number(row.Get("constraint"), place + ".constraint"));
    return change;
}

}  // namespace

std::vector<Lora> read_loras(const Napi::Value & value) {
    const Napi::Array list = read_array(value, "loras");
    std::vector<Lora> loras;
    for (uint32_t i = 0; i < list.Length(); ++i) {
        const std::string what = "loras[" + std::to_string(i) + "]";
        const Napi::Object object = read_object(list.Get(i), what);
        const auto each = [&](const char * field, const auto & take) {
            const std::string name = what + "." + field;
            const Napi::Array rows = read_array(object.Get(field), name);
            for (uint32_t j = 0; j < rows.Length(); ++j) {
                const Napi::HandleScope scope(value.Env());
                const std::string place = name + "[" + std::to_string(j) + "]";
                take(read_object(rows.Get(j), place), place);
            }
        };
        Lora lora;
        lora.weights = read_weights(object.Get("weights"));
        lora.strength = static_cast<float>(read_number(object.Get("strength"), what + ".strength"));
        each("updates", [&](const Napi::Object & row, const std::string & place) {
            lora.updates.push_back(read_update(row, place));
        });
        if (!is_missing(object.Get("changes")))
            each("changes", [&](const Napi::Object & row, const std::string & place) {
                lora.changes.push_back(read_change(row, place));
            });
        loras.push_back(std::move(lora));
    }
    return loras;
}

}  // namespace imageforge::addon
