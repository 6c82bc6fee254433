import torch

from ditkit.grounding.layout import Box
from ditkit.grounding.regions import in_latent
from ditkit.grounding.rules import DEFAULT, PUBLISHED
from ditkit.grounding.transplant import crop, transplanted
from tests.golden_files import golden, golden_json


def test_published_crops_and_transplants_are_reproduced_to_the_bit() -> None:
    tensors = golden("groundit_transplant")
    for name, case in golden_json("groundit_transplant")["cases"].items():
        x = tensors[f"in.{name}.latents"]
        patches = []
        for phrase, boxes in enumerate(case["bboxes"]):
            for index, box in enumerate(boxes):
                region = in_latent(Box(*box), case["latent_hw"][0], case["latent_hw"][1], 2, PUBLISHED)
                assert torch.equal(crop(x, region), tensors[f"out.{name}.crop.{phrase}_{index}"])
                patches.append((region, tensors[f"in.{name}.patch.{phrase}_{index}"]))
        before = x.clone()
        assert torch.equal(transplanted(x, patches), tensors[f"out.{name}.transplanted"])
        assert torch.equal(x, before)


def test_a_part_of_a_patch_is_mixed_with_what_is_there() -> None:
    x = torch.zeros(1, 1, 4, 4)
    region = in_latent(Box(0, 0, 0.5, 0.5), 4, 4, 2, DEFAULT)
    mixed = transplanted(x, [(region, torch.ones(1, 1, region.rows, region.columns))], 0.25)
    assert mixed.unique().tolist() == [0, 0.25]
