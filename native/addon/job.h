// A job: work on another thread that settles a promise. An engine runs one at a time.
#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "addon/convert.h"
#include "addon/engine_state.h"
#include "core/error.h"

namespace imageforge::addon {

template <typename Result>
class Job : public Napi::AsyncWorker {
public:
    using Work = std::function<Result()>;                             // on a worker thread
    using Convert = std::function<Napi::Value(Napi::Env, Result &)>;  // back on the JavaScript thread

    /// Throws CLOSED or BUSY.
    static Napi::Promise start(Napi::Env env, std::shared_ptr<EngineState> engine, Work work,
                               Convert convert) {
        if (engine->closed) fail(ErrorCode::Closed, "The engine is closed.");
        if (engine->busy)
            fail(ErrorCode::Busy, "The engine is computing: wait for the running call, or abort it.");
        engine->busy = true;
        engine->device.clear_abort();
        Job * job = new Job(env, std::move(engine), std::move(work), std::move(convert));
        const Napi::Promise promise = job->deferred_.Promise();
        job->Queue();
        return promise;
    }

protected:
    void Execute() override {
        try {
            result_.emplace(work_());
        } catch (const Error & error) {
            refuse(error.code(), error.what());
        } catch (const std::bad_alloc &) {
            refuse(ErrorCode::OutOfMemory, "Host memory ran out.");
        } catch (const std::exception & error) {
            refuse(ErrorCode::Internal, error.what());
        }
    }

    void OnOK() override {
        // Converted before the next job may start, while the engine is as the work left it.
        try {
            const Napi::Value value = convert_(Env(), *result_);
            end();
            deferred_.Resolve(value);
        } catch (const Napi::Error & error) {
            end();
            deferred_.Reject(error.Value());
        } catch (const std::exception & error) {
            end();
            deferred_.Reject(to_js_error(Env(), Error(ErrorCode::Internal, error.what())).Value());
        }
    }

    void OnError(const Napi::Error & error) override {
        end();
        deferred_.Reject(to_js_error(Env(), Error(code_, error.Message())).Value());
    }

private:
    Job(Napi::Env env, std::shared_ptr<EngineState> engine, Work work, Convert convert)
        : Napi::AsyncWorker(env, "imageforge"),
          engine_(std::move(engine)),
          work_(std::move(work)),
          convert_(std::move(convert)),
          deferred_(Napi::Promise::Deferred::New(env)) {}

    void refuse(ErrorCode code, const std::string & message) {
        code_ = code;
        SetError(message.empty() ? "Unknown error." : message);
    }

    void end() {
        work_ = nullptr;
        convert_ = nullptr;
        engine_->finish();
    }

    std::shared_ptr<EngineState> engine_;
    Work work_;
    Convert convert_;
    Napi::Promise::Deferred deferred_;
    std::optional<Result> result_;
    ErrorCode code_ = ErrorCode::Internal;
};

}  // namespace imageforge::addon
