#!/usr/bin/env python3
"""Makes tests/models/goldens/: tiny random checkpoints and what transformers computes with them.

    python3 -m venv venv && venv/bin/pip install transformers==5.2.0 torch==2.15.0 safetensors==0.8.0 numpy==2.4.6
    venv/bin/python tests/oracles/make_goldens.py tests/models/goldens [NAME...]

Nothing here reads this project's code. Weights come from a seeded generator, are saved by transformers' own classes and
loaded again with from_pretrained before anything is computed. attn_implementation is "eager" throughout.

Reference logits (`logits`, `best`, `sigma`): the model widened to float64. transformers rounds to float32 inside its RMSNorm
and softmax even then, so these two are replaced by their float64 forms; rotary tables stay what transformers makes them,
cosines and sines rounded to float32 (of float32 angles, from float32 frequencies). `f32_error` is how far the float32 model of
transformers is from that.

One pass, one set of frequencies. "dynamic" and "longrope" choose their frequencies in each forward call from the last
position of the call + 1, for all its rows; keys that are in the cache stay as they were turned. So a prompt of T tokens has the
frequencies of T, and the token decoded at position p those of p + 1. Every prompt gets a fresh module, since the one of
5.2.0 keeps the stretched frequencies of "dynamic" once a long pass has been through it.
Greedy tokens are made by generate() of the float32 model (DynamicCache, no end token) and by a loop of forward calls; the two
must agree. Phi3's generate() recomputes its whole cache when the length passes original_max_position_embeddings; no phi3
continuation here crosses it. llama-longrope crosses it by plain forward calls, where keys stay (generate() of llama
does just that).
The seed is the first for which no best id of any row, prompt or continuation, leads by less than LEAST_GAP, and the
float32 model is within MOST_ERROR of float64.
"""
import base64
import copy
import json
import os
import shutil
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.cache_utils import DynamicCache

from golden_specs import BASE, SPECS

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
LEAST_GAP = 1e-3  # of sigma
MOST_ERROR = 1.5e-5  # of sigma, of the float32 model: the tolerance of 5e-5 is to be about arithmetic, not about chaos
NEW = 128


# ---- checkpoints


def randomise(model, generator):
    """Weights large enough that attention is peaked and every part of the arithmetic shows in the logits."""
    config = model.config
    gemma = config.model_type.startswith("gemma")
    tied = config.tie_word_embeddings
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        last_norm = name in ("model.norm.weight", "transformer.ln_f.weight")
        if name.endswith(("embed_tokens.weight", "wte.weight", "wpe.weight")):
            value = noise * (0.1 if "transformer" in name else 0.05)  # small, as real ones are: the eps of a norm shows
        elif "norm" in name or ".ln_" in name:
            if name.endswith("bias"):
                value = 0.2 * noise
            else:
                middle = 4.0 if last_norm and tied else 1.4 if "q_norm" in name or "k_norm" in name else 1.0
                value = middle + 0.25 * noise - (1.0 if gemma else 0.0)
        elif p.dim() == 1:
            value = 0.3 * noise
        else:
            inputs = p.shape[0] if "transformer.h" in name else p.shape[1]
            peaked = any(part in name for part in ("q_proj", "k_proj", "qkv_proj", "c_attn"))
            value = noise * (1.3 if peaked or "lm_head" in name else 1.1) / inputs**0.5
        p.data.copy_(value)


PUBLISHED = {  # keys that published files of the family hold and that change nothing here
    "llama": {"pretraining_tp": 1, "rope_scaling": None, "attention_dropout": 0.0},
    "mistral": {"attention_dropout": 0.0},
    "qwen2": {"attention_dropout": 0.0, "use_sliding_window": False, "max_window_layers": 28, "sliding_window": 131072},
    "qwen3": {"attention_dropout": 0.0, "use_sliding_window": False, "max_window_layers": 28, "sliding_window": None,
              "rope_scaling": None},
    "gpt2": {"n_ctx": None, "attn_pdrop": 0.1, "embd_pdrop": 0.1, "resid_pdrop": 0.1, "summary_activation": None,
             "summary_first_dropout": 0.1, "summary_proj_to_labels": True, "summary_type": "cls_index", "summary_use_proj": True,
             "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}}},
    "phi3": {"attention_bias": False, "attention_dropout": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "rope_scaling": None,
             "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}},
    "gemma2": {"attention_dropout": 0.0, "cache_implementation": "hybrid", "hidden_act": "gelu_pytorch_tanh"},
    "gemma3_text": {"attention_dropout": 0.0, "cache_implementation": "hybrid", "rope_scaling": None,
                    "attn_logit_softcapping": None, "final_logit_softcapping": None},
}
PHI4_MINI = {"full_attn_mod": 1, "interpolate_factor": 1, "lm_head_bias": False, "mlp_bias": False}
OLD_VERSION = {"llama": "4.43.0.dev0", "mistral": "4.42.0.dev0", "qwen2": "4.40.1", "qwen3": "4.51.0", "phi3": "4.39.3",
               "gemma2": "4.42.4", "gemma3_text": "4.50.0.dev0"}


def old_rope(new, both=False):
    """rope_scaling as transformers 4 wrote it ("type" for the kinds older than 4.43, later both), without theta."""
    scaling = {k: v for k, v in new.items() if k not in ("rope_theta", "partial_rotary_factor")}
    kind = scaling.pop("rope_type")
    if kind == "default":
        return None
    if both:
        return {**scaling, "rope_type": kind, "type": kind}
    return {**scaling, "rope_type" if kind == "llama3" else "type": kind}


def respell(config, family, options):
    """config.json of transformers 5 -> the spelling of transformers 4 and of the published checkpoints."""
    out = dict(config)
    out["torch_dtype"] = out.pop("dtype")
    out["transformers_version"] = OLD_VERSION.get(family, "4.30.0")
    extra = dict(PUBLISHED[family])
    ropes = out.pop("rope_parameters", None)
    if family == "gemma3_text":
        out["sliding_window_pattern"] = out["layer_types"].index("full_attention") + 1
        out["rope_theta"] = ropes["full_attention"]["rope_theta"]
        out["rope_local_base_freq"] = ropes["sliding_attention"]["rope_theta"]
        if (scaling := old_rope(ropes["full_attention"])) is not None:
            out["rope_scaling"] = {**{k: v for k, v in scaling.items() if k != "type"}, "rope_type": "linear"}
    elif ropes is not None:
        out["rope_theta"] = ropes["rope_theta"]
        if (scaling := old_rope(ropes, options.get("both_types"))) is not None:
            out["rope_scaling"] = scaling
            if family == "phi3":
                scaling.pop("original_max_position_embeddings", None)
        if ropes.get("partial_rotary_factor", 1.0) != 1.0:
            out["partial_rotary_factor"] = ropes["partial_rotary_factor"]
            extra.update(PHI4_MINI)
        else:
            out.pop("partial_rotary_factor", None)
    for key in ("layer_types", "_sliding_window_pattern", "use_bidirectional_attention", "ignore_keys_at_rope_validation"):
        out.pop(key, None)  # younger than these files
    if family == "gpt2":
        for key in ("n_inner", "add_cross_attention", "pad_token_id", "reorder_and_upcast_attn", "scale_attn_weights",
                    "scale_attn_by_inverse_layer_idx", "tie_word_embeddings", "torch_dtype", "transformers_version"):
            out.pop(key, None)
        extra["n_ctx"] = out["n_positions"]
    for key, value in extra.items():
        if out.get(key) is None:
            out[key] = value
    for key in options.get("drop", []):
        out.pop(key, None)
    out.update(options.get("add", {}))
    return dict(sorted(out.items()))


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def rewrite_weights(folder, options, model):
    """Names and extra tensors as some published files have them."""
    path = os.path.join(folder, "model.safetensors")
    tensors = load_file(path)
    if options.get("store_head"):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    if options.get("names") == "gpt2":
        n = model.config.n_positions
        tensors = {name.removeprefix("transformer."): t for name, t in tensors.items()}
        for layer in range(model.config.n_layer):
            tensors[f"h.{layer}.attn.bias"] = torch.tril(torch.ones(n, n)).view(1, 1, n, n)
    save_file(tensors, path, metadata={"format": "pt"})


def save(name, folder, generator):
    """-> the folder as a user would have it."""
    family, changes, options = SPECS[name]
    shutil.rmtree(folder, ignore_errors=True)
    config = AutoConfig.for_model(family, **copy.deepcopy({**BASE[family], **changes}))
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    randomise(model, generator)
    for p in model.parameters():  # not .to(): it would round the rotary tables
        p.data = p.data.to(DTYPES[options["dtype"]])
    model.config.dtype = DTYPES[options["dtype"]]
    if "eos" in options:
        model.generation_config.eos_token_id = options["eos"]
    model.save_pretrained(folder, max_shard_size=options.get("shard", "1GB"))
    if options.get("store_head") or options.get("names"):
        rewrite_weights(folder, options, model)
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config = respell(config, family, options) if options.get("old") else config
    write_json(path, config)
    if "eos" not in options:
        os.remove(os.path.join(folder, "generation_config.json"))
    return model


# ---- logits


def load(folder, dtype):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def exact_norm(module):
    gemma = type(module).__name__.startswith("Gemma")
    eps = module.eps if gemma else module.variance_epsilon

    def forward(x):
        assert x.dtype == torch.float64
        normed = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
        return normed * (1.0 + module.weight if gemma else module.weight)

    return forward


def widened(model):
    """The float32 model in float64, its norms too."""
    model = copy.deepcopy(model).double()
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = exact_norm(module)
    return model


SOFTMAX = torch.nn.functional.softmax


def softmax_as_given(x, dim=None, dtype=None, **_):
    return SOFTMAX(x, dim=dim, dtype=None if x.dtype == torch.float64 else dtype)


torch.nn.functional.softmax = softmax_as_given


@torch.no_grad()
def logits_of(model, ids):
    """All rows of one pass by a fresh copy (a module's rotary state depends on what went through it before)."""
    return copy.deepcopy(model)(torch.tensor([ids]), use_cache=False).logits[0].double()


@torch.no_grad()
def continue_greedily(model, ids):
    """-> NEW ids, and the logits that chose them [NEW, V]."""
    model = copy.deepcopy(model)
    model.generation_config.eos_token_id = None
    cache, fed, new, rows = DynamicCache(config=model.config), torch.tensor([ids]), [], []
    for _ in range(NEW):
        row = model(fed, past_key_values=cache, use_cache=True).logits[0, -1]
        rows.append(row.double())
        new.append(int(row.argmax()))
        fed = torch.tensor([[new[-1]]])
    return new, torch.stack(rows)


@torch.no_grad()
def generated(model, ids):
    model = copy.deepcopy(model)
    model.generation_config.eos_token_id = None
    model.config.eos_token_id = None
    fed = torch.tensor([ids])
    out = model.generate(fed, attention_mask=torch.ones_like(fed), max_new_tokens=NEW, do_sample=False, pad_token_id=0)
    return out[0].tolist()[len(ids):]


def gap(logits):
    top = logits.topk(2, dim=-1).values
    return (top[..., 0] - top[..., 1]).min().item()


def chosen_rows(length):
    if length <= 7:
        return list(range(length))
    if length <= 64:
        return sorted({length // 4, length // 2, 3 * length // 4, length - 1})
    return sorted({20, 34, 65, length // 3, length // 2, 2 * length // 3, length - 2, length - 1})


def packed(rows):
    return base64.b64encode(rows.to(torch.float32).contiguous().numpy().tobytes()).decode()


def half_errors(folder, dtype, prompts, reference):
    """Plain torch in the stored dtype against float64, over the rows that are stored (rule T2)."""
    model = load(folder, dtype)
    mine = torch.cat([logits_of(model, p["ids"])[p["positions"]] for p in prompts])
    theirs = torch.cat([r[p["positions"]] for p, r in zip(prompts, reference)])
    error = (mine - theirs).abs()
    p, q = theirs.log_softmax(-1), mine.log_softmax(-1)
    return {"dtype": str(dtype).removeprefix("torch."), "max": error.max().item(), "mean": error.mean().item(),
            "kl_mean": (p.exp() * (p - q)).sum(-1).mean().item(),
            "best_differs": int((mine.argmax(-1) != theirs.argmax(-1)).sum()), "rows": len(mine)}


def attempt(name, folder, seed):
    """One seed -> the golden, or nothing where a best id leads by too little."""
    family, _, options = SPECS[name]
    generator = torch.Generator().manual_seed(seed)
    saved = save(name, folder, generator)
    model = load(folder, torch.float32)
    ids = torch.randint(0, model.config.vocab_size, (64,), generator=generator).tolist()
    assert torch.equal(logits_of(saved.float(), ids), logits_of(model, ids)), "what was saved is what is loaded"
    exact = widened(model)
    prompts, reference = [], []
    for length in (1, 7, 64, options.get("long", 200)):
        ids = torch.randint(0, model.config.vocab_size, (length,), generator=generator).tolist()
        prompts.append({"ids": ids, "positions": chosen_rows(length)})
        reference.append(logits_of(exact, ids))
    sigma = torch.cat(reference).std().item()
    least = min(gap(r) for r in reference)
    if least < LEAST_GAP * sigma:
        return None
    greedy = []
    for which in options.get("decode", [2]):
        new, rows = continue_greedily(model, prompts[which]["ids"])
        least = min(least, gap(rows))
        if least < LEAST_GAP * sigma or len(set(new)) < 12:
            return None
        assert new == generated(model, prompts[which]["ids"]), "generate() does what plain forward calls do"
        greedy.append({"prompt": which, "ids": new})
    error = max((logits_of(model, p["ids"]) - r).abs().max().item() for p, r in zip(prompts, reference))
    if error > MOST_ERROR * sigma:
        return None
    for p, r in zip(prompts, reference):
        p["best"] = r.argmax(-1).tolist()
        p["logits"] = packed(r[p["positions"]])
    golden = {"seed": seed, "vocabulary": model.config.vocab_size, "sigma": sigma, "f32_error": error / sigma,
              "least_gap": least / sigma, "prompts": prompts, "greedy": greedy}
    if options["dtype"] != "f32":
        golden["half"] = half_errors(folder, DTYPES[options["dtype"]], prompts, reference)
    return golden


# ---- the table of the README


def heads_of(config):
    n, g = (config.get(k) or config.get("n_head") for k in ("num_attention_heads", "num_key_value_heads"))
    return f"{n}/{g or n}"


def positions_of(config):
    block = config.get("rope_parameters") or {}
    block = block.get("full_attention", block) or config.get("rope_scaling") or {}
    kind = block.get("rope_type") or block.get("type", "default")
    return "learned" if config["model_type"] == "gpt2" else kind


def window_of(config, longest):
    window = config.get("sliding_window")
    if not window or window >= longest or not config.get("use_sliding_window", True):
        return ""
    every = config["model_type"] in ("mistral", "phi3")
    return str(window) if every else f"{window}, some layers"


def table_row(folder, name):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    with open(os.path.join(folder, "golden.json"), encoding="utf-8") as file:
        golden = json.load(file)
    options = SPECS[name][2]
    shards = sum(f.endswith(".safetensors") for f in os.listdir(folder))
    longest = max(len(p["ids"]) for p in golden["prompts"])
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    return (f"| {name} | {heads_of(config)} | {positions_of(config)} | {window_of(config, longest)} | {options['dtype']} | "
            f"{shards} | {'4' if options.get('old') else '5'} | {longest} | {golden['sigma']:.2f} | {golden['f32_error']:.0e} | "
            f"{golden['least_gap']:.0e} | {size // 1024} |")


def write_table(out):
    """Puts the table of all checkpoints at the end of the README."""
    path, mark = os.path.join(out, "README.md"), "| checkpoint |"
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        text = file.read()
    head = (f"{mark} H/G | rope | window | weights | files | config of | longest | sigma | f32 error | least gap | KiB |\n"
            "|---|---|---|---|---|---|---|---|---|---|---|---|\n")
    rows = "\n".join(table_row(os.path.join(out, name), name) for name in SPECS)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text[: text.index(mark)] + head + rows + "\n")


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    assert transformers.__version__ == "5.2.0", transformers.__version__
    out, only = sys.argv[1], sys.argv[2:]
    for index, name in enumerate(SPECS):
        if only and name not in only:
            continue
        folder = os.path.join(out, name)
        for seed in range(1000 * (index + 1), 1000 * (index + 1) + 200):
            golden = attempt(name, folder, seed)
            if golden:
                break
        assert golden, name
        golden = {"transformers": transformers.__version__, "torch": torch.__version__, **golden}
        with open(os.path.join(folder, "golden.json"), "w", encoding="utf-8") as file:
            json.dump(golden, file, separators=(",", ":"))
            file.write("\n")
        size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
        print(f"{name:36} seed {seed:6} sigma {golden['sigma']:.3f} f32 error {golden['f32_error']:.1e} sigma, "
              f"least gap {golden['least_gap']:.1e}, {size / 1024:.0f} KiB", flush=True)
    write_table(out)


main()
