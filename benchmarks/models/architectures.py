"""Architectures of transformers from small configurations: one line each, nothing fetched.

A configuration is the class's own with every size in `SMALL` that it knows, and with what the line says. Widths differ
from each other where the architecture allows, so that no two are taken for one by their size.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.models.case import BATCH, Attempt, Draw, images
from benchmarks.models.shim import torchvision

#: Sizes by the names that configurations give them.
SMALL: Mapping[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "emb_dim", "decoder_hidden_size"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff", "n_inner"), 96),
    **dict.fromkeys(("hidden_dim", "ffn_hidden_size"), 96),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 64),
    **dict.fromkeys(("head_dim", "d_kv"), 16),
    "num_key_value_heads": 2,
    "embedding_size": 32,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 48,
    "vocab_size": 128,
    "type_vocab_size": 2,
    "sliding_window": 8,
    "image_size": 32,
    "patch_size": 8,
    "num_labels": 5,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "use_cache": False,
    "apply_spec_augment": False,
}
#: Words that no model takes for a special one.
_WORDS = (5, 128)
#: What speech encoders make of the sound itself.
_EARS: Mapping[str, Any] = {
    "conv_dim": (24, 32, 40),
    "conv_stride": (5, 4, 2),
    "conv_kernel": (10, 4, 2),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 48,
    "layerdrop": 0.0,
}
_TOWERS: Mapping[str, Any] = {"text_config": dict(SMALL), "vision_config": dict(SMALL)}


@dataclass(frozen=True, slots=True)
class Architecture:
    """One line of the table.

    Attributes:
        kind: name of the configuration in transformers.
        head: the automatic class that builds it is `AutoModel` + this; a class of its own begins with `=`.
        config: what differs from `SMALL`.
        draw: its inputs.
        options: how it is to be built otherwise than by default.
    """

    kind: str
    head: str
    config: Mapping[str, Any]
    draw: Draw
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The kind, and the options in words."""
        return "+".join((self.kind, *self.options.values()))

    def attempt(self) -> Attempt:
        """How to build it."""
        return Attempt(partial(_make, self), self.draw)


def _make(architecture: Architecture) -> nn.Module:
    torchvision()  # transformers imports it where it is installed
    import transformers  # noqa: PLC0415  an extra

    cls = type(transformers.AutoConfig.for_model(architecture.kind))
    config = cls(**{**fitting(_fields(cls), cls.attribute_map), **architecture.config})
    if architecture.head.startswith("="):
        return getattr(transformers, architecture.head.removeprefix("="))(config)
    return getattr(transformers, f"AutoModel{architecture.head}").from_config(config, **architecture.options)


def fitting(fields: Iterable[str], renamed: Iterable[str]) -> dict[str, Any]:
    """The sizes of `SMALL` that a configuration knows; those it only renames are left to the name that it stores."""
    known = set(fields) - set(renamed)
    return {name: value for name, value in SMALL.items() if name in known}


def _fields(cls: type) -> set[str]:
    named = {f.name for f in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    return named | set(inspect.signature(cls.__init__).parameters)


def _ids(seed: int, length: int) -> torch.Tensor:
    return torch.randint(*_WORDS, (BATCH, length), generator=torch.Generator().manual_seed(seed))


def _floats(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn((BATCH, *shape), generator=torch.Generator().manual_seed(seed))


def _text(seed: int, length: int = 12) -> dict[str, Any]:
    return {"input_ids": _ids(seed, length)}


def _two_texts(seed: int) -> dict[str, Any]:
    return {"input_ids": _ids(seed, 12), "decoder_input_ids": _ids(seed + 100, 7)}


def _text_and_picture(seed: int) -> dict[str, Any]:
    return {"input_ids": _ids(seed, 12), "pixel_values": _floats(seed, 3, 32, 32)}


def _picture(size: int) -> Draw:
    draw = images(size)
    return lambda seed: {"pixel_values": draw(seed)}


def _sound(seed: int) -> dict[str, Any]:
    return {"input_values": _floats(seed, 2000)}


def _spectrum(name: str, *shape: int) -> Draw:
    return lambda seed: {name: _floats(seed, *shape)}


def _dictation(name: str, *shape: int) -> Draw:
    return lambda seed: {name: _floats(seed, *shape), "decoder_input_ids": _ids(seed, 7)}


def _noisy_picture(seed: int) -> dict[str, Any]:
    """A masked autoencoder draws what it hides unless it is told."""
    return {"pixel_values": _floats(seed, 3, 32, 32), "noise": _floats(seed + 100, 16)}


def _lines(
    head: str, draw: Draw, common: Mapping[str, Any], names: str, **special: Mapping[str, Any]
) -> list[Architecture]:
    """One architecture for every name; `special` holds what single ones need, with `_` for `-`."""
    kinds = names.split()
    assert {kind.replace("-", "_") for kind in kinds} >= set(special), "a special line for nobody"
    return [Architecture(kind, head, {**common, **special.get(kind.replace("-", "_"), {})}, draw) for kind in kinds]


_ENCODERS = _lines(
    "ForSequenceClassification",
    _text,
    {"num_labels": 5},
    "albert bert big_bird canine convbert deberta deberta-v2 distilbert electra esm eurobert fnet funnel gte ibert "
    "layoutlm longformer megatron-bert mobilebert modernbert mpnet nomic_bert nystromformer rembert roberta "
    "roberta-prelayernorm roformer squeezebert xlm xlm-roberta-xl xlnet",
    big_bird={"attention_type": "original_full"},
    canine={"num_hash_buckets": 64, "max_position_embeddings": 64},
    funnel={"block_sizes": (1, 1), "d_head": 16, "d_inner": 96},
    layoutlm={"max_2d_position_embeddings": 64},
    longformer={"attention_window": 4},
    mobilebert={"true_hidden_size": 32, "intra_bottleneck_size": 32},
    rembert={"input_embedding_size": 32, "output_embedding_size": 32},
    squeezebert={"embedding_size": 64},
    xlnet={"d_head": 16, "d_inner": 96},
)

_DECODERS = _lines(
    "ForCausalLM",
    _text,
    {"tie_word_embeddings": True},
    "apertus arcee biogpt bitnet bloom codegen cohere cohere2 ctrl diffllama doge exaone4 falcon gemma gemma2 "
    "gemma3_text glm glm4 gpt2 gpt_bigcode gpt_neo gpt_neox gptj granite helium hunyuan_v1_dense llama ministral "
    "mistral modernbert-decoder mpt nanochat nemotron olmo olmo2 olmo3 openai-gpt opt persimmon phi phi3 qwen2 qwen3 "
    "seed_oss smollm3 stablelm starcoder2 xglm",
    codegen={"rotary_dim": 8},
    ctrl={"dff": 96},
    gpt_neo={"attention_types": [[["global", "local"], 1]], "window_size": 8},
    gptj={"rotary_dim": 8},
    mpt={"expansion_ratio": 2},
    opt={"word_embed_proj_dim": 48},
)

_EXPERTS = _lines(
    "ForCausalLM",
    _text,
    {"tie_word_embeddings": True},
    "deepseek_v3 ernie4_5_moe flex_olmo gpt_oss granitemoe jamba jetmoe minimax mixtral olmoe phimoe qwen2_moe "
    "qwen3_moe",
    deepseek_v3={
        "head_dim": 8,
        "num_key_value_heads": 4,
        "q_lora_rank": 24,
        "kv_lora_rank": 32,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 16,
        "v_head_dim": 16,
        "n_group": 2,
        "topk_group": 1,
        "first_k_dense_replace": 1,
    },
    ernie4_5_moe={"moe_k": 2, "moe_num_experts": 4},
    jamba={"mamba_d_state": 8, "mamba_dt_rank": 4},
    jetmoe={"kv_channels": 16},
    qwen3_moe={"num_experts": 4},
)

#: By default experts are one grouped product; a loop over them, in plain operators, is another network to a tracer.
_LOOPS = [
    replace(expert, options={"experts_implementation": "eager"})
    for expert in _EXPERTS
    if expert.kind in ("deepseek_v3", "gpt_oss", "mixtral", "olmoe", "qwen2_moe", "qwen3_moe")
]

_RECURRENT = _lines(
    "ForCausalLM",
    _text,
    {"tie_word_embeddings": True},
    "bamba falcon_h1 falcon_mamba lfm2 mamba mamba2 qwen3_next recurrent_gemma rwkv xlstm",
    bamba={"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 8, "attn_layer_indices": [1]},
    falcon_h1={"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_d_ssm": 128},
    falcon_mamba={"state_size": 8, "time_step_rank": 4},
    mamba={"state_size": 8, "time_step_rank": 4},
    mamba2={"num_heads": 8, "head_dim": 16, "state_size": 8, "n_groups": 2, "chunk_size": 8},
    qwen3_next={"num_experts": 4, "linear_num_key_heads": 2, "linear_num_value_heads": 4},
    rwkv={"attention_hidden_size": 64},
)

_TRANSLATORS = _lines(
    "ForSeq2SeqLM",
    _two_texts,
    {},
    "bart bigbird_pegasus blenderbot blenderbot-small fsmt led longt5 m2m_100 marian mbart mt5 nllb-moe pegasus "
    "pegasus_x prophetnet switch_transformers t5 umt5",
    bigbird_pegasus={"attention_type": "original_full"},
    fsmt={"langs": ["en", "de"], "src_vocab_size": 128, "tgt_vocab_size": 128},
    led={"attention_window": 4, "max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64},
    prophetnet={"num_encoder_attention_heads": 4, "num_decoder_attention_heads": 4},
)

_STAGES: Mapping[str, Any] = {"hidden_sizes": (16, 24, 32, 40), "depths": (1, 1, 2, 1), "num_labels": 5}
_WINDOWS: Mapping[str, Any] = {
    "embed_dim": 16,
    "depths": (2, 2),
    "num_heads": (2, 4),
    "window_size": 4,
    "patch_size": 4,
}
_PYRAMID: Mapping[str, Any] = {
    "hidden_sizes": (16, 24, 32, 48),
    "depths": (1, 1, 1, 1),
    "num_attention_heads": (1, 2, 2, 4),
}
_PICTURES = [
    *_lines(
        "ForImageClassification",
        _picture(32),
        {"num_labels": 5},
        "beit data2vec-vision dinov2 dinov2_with_registers ijepa swin swinv2 vit vit_msn",
        swin=_WINDOWS,
        swinv2=_WINDOWS,
    ),
    *_lines(
        "ForImageClassification",
        _picture(64),
        {"num_labels": 5, "image_size": 64},
        "bit convnext convnextv2 cvt efficientnet focalnet hgnet_v2 hiera mobilenet_v1 mobilenet_v2 mobilevit "
        "mobilevitv2 poolformer pvt pvt_v2 regnet resnet swiftformer",
        bit={**_STAGES, "hidden_sizes": (16, 32, 48, 64), "embedding_size": 16, "num_groups": 4},
        convnext=_STAGES,
        convnextv2=_STAGES,
        cvt={"embed_dim": (16, 32, 48), "num_heads": (1, 2, 4), "depth": (1, 2, 3)},
        efficientnet={"width_coefficient": 0.5, "depth_coefficient": 0.5, "hidden_dim": 640},
        focalnet={"embed_dim": 16, "depths": (1, 1, 2, 1), "hidden_sizes": (16, 32, 64, 128)},
        hgnet_v2={
            "stem_channels": (3, 8, 16),
            "stage_in_channels": (16, 24, 32, 48),
            "stage_mid_channels": (8, 12, 16, 24),
            "stage_out_channels": (24, 32, 48, 64),
            "hidden_sizes": (24, 32, 48, 64),
            "stage_numb_of_layers": (2, 2, 2, 2),
            "stage_num_blocks": (1, 1, 1, 1),
            "depths": (1, 1, 1, 1),
            "embedding_size": 16,
        },
        hiera={
            "image_size": (64, 64),
            "patch_size": (7, 7),
            "num_heads": (1, 2, 2, 4),
            "embed_dim": 16,
            "depths": (1, 1, 2, 1),
            "masked_unit_size": (8, 8),
        },
        mobilenet_v1={"depth_multiplier": 0.25},
        mobilenet_v2={"depth_multiplier": 0.35},
        mobilevit={"hidden_sizes": (24, 32, 40), "neck_hidden_sizes": (8, 8, 16, 24, 32, 40, 64), "patch_size": 2},
        mobilevitv2={"base_attn_unit_dims": (32, 48, 64), "width_multiplier": 0.5, "patch_size": 2},
        poolformer=_STAGES,
        pvt=_PYRAMID,
        pvt_v2={**_PYRAMID, "image_size": (64, 64)},
        regnet={**_STAGES, "hidden_sizes": (16, 24, 32, 40), "embedding_size": 16, "groups_width": 8},
        resnet={**_STAGES, "hidden_sizes": (32, 48, 64, 80), "embedding_size": 16},
        swiftformer={"embed_dims": (16, 24, 32, 48), "depths": (1, 1, 1, 1)},
    ),
    Architecture("deit", "=DeiTForImageClassification", {"num_labels": 5}, _picture(32)),
    Architecture(
        "levit",
        "=LevitForImageClassification",
        {
            "image_size": 64,
            "patch_size": 16,
            "hidden_sizes": (32, 48, 64),
            "num_attention_heads": (2, 3, 4),
            "depths": (1, 1, 1),
            "key_dim": (8, 8, 8),
            "num_labels": 5,
        },
        _picture(64),
    ),
    Architecture("segformer", "ForSemanticSegmentation", {**_PYRAMID, "decoder_hidden_size": 32}, _picture(64)),
    Architecture(
        "dpt",
        "ForSemanticSegmentation",
        {
            "num_hidden_layers": 4,
            "backbone_out_indices": (0, 1, 2, 3),
            "neck_hidden_sizes": (16, 24, 32, 40),
            "fusion_hidden_size": 32,
        },
        _picture(32),
    ),
    Architecture("yolos", "ForObjectDetection", {"image_size": (32, 32), "num_detection_tokens": 6}, _picture(32)),
    Architecture(
        "vit_mae", "ForPreTraining", {"decoder_num_attention_heads": 2, "decoder_hidden_size": 32}, _noisy_picture
    ),
    Architecture("clip", "", {**_TOWERS, "projection_dim": 48}, _text_and_picture),
    Architecture("siglip", "", _TOWERS, _text_and_picture),
]

_SOUNDS = [
    *_lines(
        "ForAudioClassification",
        _sound,
        {"num_labels": 5, **_EARS},
        "data2vec-audio hubert sew sew-d unispeech unispeech-sat wav2vec2 wav2vec2-conformer wavlm",
        sew_d={"position_buckets": 8},
    ),
    Architecture(
        "wav2vec2-bert",
        "ForAudioClassification",
        {"feature_projection_input_dim": 24},
        _spectrum("input_features", 32, 24),
    ),
    Architecture(
        "audio-spectrogram-transformer",
        "ForAudioClassification",
        {"max_length": 64, "num_mel_bins": 32},
        _spectrum("input_values", 64, 32),
    ),
    Architecture(
        "whisper",
        "ForSpeechSeq2Seq",
        {"num_mel_bins": 24, "max_source_positions": 32, "max_target_positions": 32},
        _dictation("input_features", 24, 64),
    ),
    Architecture(
        "speech_to_text",
        "ForSpeechSeq2Seq",
        {"input_feat_per_channel": 24, "conv_channels": 48, "max_source_positions": 64, "max_target_positions": 32},
        _dictation("input_features", 64, 24),
    ),
    Architecture(
        "speecht5", "ForSpeechSeq2Seq", _EARS | {"encoder_max_relative_position": 16}, _dictation("input_values", 2000)
    ),
]

ARCHITECTURES: dict[str, Architecture] = {
    a.name: a for a in (*_ENCODERS, *_DECODERS, *_EXPERTS, *_LOOPS, *_RECURRENT, *_TRANSLATORS, *_PICTURES, *_SOUNDS)
}
