// Tests an engine's list of networks: a closed network leaves it, at once or when the running job has ended.
#include "addon/engine_state.h"

#include "checks.h"

using namespace imageforge;
using imageforge::addon::EngineState;
using imageforge::addon::ModuleState;

namespace {

struct CountedModule : ModuleState {
    int & released;
    explicit CountedModule(int & released) : released(released) {}
    void release() override { ++released; }
};

void test_closed_networks_leave(EngineState & engine) {
    int released = 0;
    const auto kept = std::make_shared<CountedModule>(released);
    engine.add(kept);
    for (int i = 0; i < 1000; ++i) {
        const auto module = std::make_shared<CountedModule>(released);
        engine.add(module);
        engine.release(module);
        engine.release(module);  // closed twice
    }
    check(engine.modules().size() == 1 && engine.modules()[0] == kept, "the open network alone is listed");
    check(released == 2000, "each is released");
    check(kept.use_count() == 2, "nothing else refers to it");
}

void test_waits_for_the_job(EngineState & engine) {
    int released = 0;
    const auto module = std::make_shared<CountedModule>(released);
    const size_t before = engine.modules().size();
    engine.add(module);
    engine.busy = true;
    engine.when_idle([&] { engine.release(module); });
    check(released == 0 && engine.modules().size() == before + 1, "a job still uses it");
    engine.finish();
    check(released == 1 && engine.modules().size() == before, "it goes when the job has ended");
}

void test_closing_the_engine(EngineState & engine) {
    int released = 0;
    const auto module = std::make_shared<CountedModule>(released);
    engine.add(module);
    engine.release_all();
    check(engine.modules().empty() && module->closed && released == 1, "closing releases the rest");
}

}  // namespace

int main() {
    DeviceOptions options;
    options.id = "cpu";
    EngineState engine(options, true);
    test_closed_networks_leave(engine);
    test_waits_for_the_job(engine);
    test_closing_the_engine(engine);
    return report();
}
