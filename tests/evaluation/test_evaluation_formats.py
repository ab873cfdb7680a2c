"""Reading boxes from COCO JSON and YOLO labels: what is read, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.conftest import random_boxes, seeds, to_coco

from epochal.errors import InvalidInput, NotFound
from epochal.evaluation import (
    Boxes,
    average_precision,
    match,
    read_coco,
    read_coco_predictions,
    read_coco_truth,
    read_yolo_predictions,
    read_yolo_truth,
)

TRUTH_COLUMNS = ("truth_img", "truth_cls", "truth_xyxy")
PRED_COLUMNS = ("pred_img", "pred_cls", "pred_score", "pred_xyxy")


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture
def coco(tmp_path):
    """Return a function that writes both files, changed as asked, and gives their paths."""

    def files(change=lambda truth, results: None):
        truth, results = to_coco(random_boxes(3, 4, size=100.0))
        change(truth, results)
        return write(tmp_path / "truth.json", truth), write(tmp_path / "results.json", results)

    return files


def write_yolo(folder, boxes, *, side):
    """Write the boxes of one side as YOLO label files, in all digits."""
    folder.mkdir(parents=True, exist_ok=True)
    img, cls = getattr(boxes, f"{side}_img"), getattr(boxes, f"{side}_cls")
    xyxy = getattr(boxes, f"{side}_xyxy")
    for index, name in enumerate(boxes.images):
        lines = []
        for row in np.flatnonzero(img == index):
            x0, y0, x1, y1 = xyxy[row] / np.tile(boxes.sizes[index], 2)
            numbers = [cls[row], (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]
            if side == "pred":
                numbers.append(boxes.pred_score[row])
            lines.append(" ".join(map(repr, map(float, numbers))))
        if lines:
            (folder / name.replace(".jpg", ".txt")).write_text("\n".join(lines))


class TestCoco:
    def test_round_trip(self, tmp_path):
        boxes = random_boxes(3, 6, size=200.0)
        truth, results = to_coco(boxes)
        back = read_coco(write(tmp_path / "t.json", truth), write(tmp_path / "r.json", results))
        assert back.images == boxes.images
        assert back.classes == boxes.classes
        for column in (*TRUTH_COLUMNS, *PRED_COLUMNS, "truth_crowd", "truth_area"):
            assert np.array_equal(getattr(back, column), getattr(boxes, column)), column

    def test_ids_need_no_order_and_no_beginning(self, coco):
        def change(truth, results):
            place = {i: 1000 - 7 * i for i in range(4)}
            for row in truth["images"]:
                row["id"] = place[row["id"]]
            for row in (*truth["annotations"], *results):
                row["image_id"] = place[row["image_id"]]
                row["category_id"] += 5
            for row in truth["categories"]:
                row["id"] += 5

        plain, moved = read_coco(*coco()), read_coco(*coco(change))
        assert average_precision(match(moved)).map == average_precision(match(plain)).map
        assert moved.images == plain.images[::-1]

    def test_results_inside_a_whole_file(self, coco):
        truth, results = coco()
        expected = read_coco(truth, results)
        categories = json.loads(truth.read_text())["categories"]
        rows = json.loads(results.read_text())
        write(results, {"images": [], "categories": categories, "annotations": rows})
        assert np.array_equal(read_coco(truth, results).pred_xyxy, expected.pred_xyxy)
        categories[0]["name"] = "another"
        write(results, {"categories": categories, "annotations": rows})
        with pytest.raises(InvalidInput, match=r"category 0 is 'another'.*'class0'"):
            read_coco(truth, results)

    def test_the_name_of_the_file_counts_where_it_is_given(self, coco):
        def change(truth, results):
            for row in results:  # Ultralytics numbers images by their names
                row["file_name"] = truth["images"][row["image_id"]]["file_name"]
                row["image_id"] = 3 - row["image_id"]

        assert np.array_equal(read_coco(*coco(change)).pred_img, read_coco(*coco()).pred_img)

    @pytest.mark.parametrize("first", [0, 1])
    def test_ultralytics_counts_categories_its_own_way(self, coco, first):
        def change(truth, results):
            for row in (*truth["annotations"], *results):
                row["category_id"] += 1 - first
            for row in truth["categories"]:
                row["id"] += 1 - first
            for row in results:
                row["file_name"] = truth["images"][row["image_id"]]["file_name"]
                row["category_id"] += 2 * first - 1

        expected = read_coco(*coco())
        assert np.array_equal(read_coco(*coco(change)).pred_cls, expected.pred_cls)

    def test_images_of_one_video_are_a_group(self, coco):
        def change(truth, results):
            for row in truth["images"]:
                row["video_id"] = row["id"] // 2

        assert read_coco(*coco(change)).groups == ("0", "0", "1", "1")
        assert read_coco(*coco()).groups == ()

    @settings(max_examples=150, deadline=None)
    @given(data=st.data())
    def test_whatever_a_field_holds_is_read_or_refused(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("any")
        truth, results = to_coco(random_boxes(3, 3))
        anything = st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(max_size=3),
            st.lists(st.floats(), max_size=5),
        )
        part = data.draw(
            st.sampled_from([truth["images"], truth["annotations"], truth["categories"], results])
        )
        row = data.draw(st.integers(0, min(2, len(part) - 1)))
        field = data.draw(st.sampled_from(sorted(part[row])))
        part[row][field] = data.draw(anything)
        said = ""
        try:
            boxes = read_coco(write(folder / "t.json", truth), write(folder / "r.json", results))
        except InvalidInput as error:
            said = error.message
        assert said or np.isfinite(boxes.pred_xyxy).all()

    @settings(max_examples=100, deadline=None)
    @given(
        piece=st.integers(1, 700),
        indent=st.sampled_from([None, 1]),
        change=st.sampled_from(["", "name", "nested", "whole", "lost", "comma"]),
        at=st.floats(0, 1, exclude_max=True),
    )
    def test_results_are_read_in_pieces_as_they_are_whole(
        self, tmp_path_factory, piece, indent, change, at
    ):
        folder = tmp_path_factory.mktemp("pieces")
        truth, results = to_coco(random_boxes(3, 4))
        row = results[int(at * len(results))]
        if change == "name":
            row["file_name"] = 'no "}, {"such"},'
        elif change == "nested":
            row["segmentation"] = {"size": [2, 2], "counts": "}"}
        content = {"annotations": results} if change == "whole" else results
        text = json.dumps(content, indent=indent)
        if change == "lost":
            text = text[: int(at * len(text))] + text[int(at * len(text)) + 1 :]
        elif change == "comma":
            text = text[:-1] + ",]"
        paths = write(folder / "t.json", truth), write(folder / "r.json", text)

        def found(size):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("epochal.evaluation.coco_entries._PIECE", size)
                try:
                    boxes = read_coco(*paths)
                except InvalidInput as error:
                    return str(error)
            return [getattr(boxes, column).tolist() for column in PRED_COLUMNS]

        whole = found(1 << 30)
        assert found(piece) == whole
        assert (change == "comma") <= isinstance(whole, str)

    def test_no_annotations_and_no_results(self, coco):
        def change(truth, results):
            truth["annotations"].clear()
            results.clear()

        boxes = read_coco(*coco(change))
        assert (len(boxes.images), len(boxes.truth_img), len(boxes.pred_img)) == (4, 0, 0)

    @pytest.mark.parametrize(
        ("row", "change", "message"),
        [
            (
                2,
                {"image_id": 99},
                r"results.json, entry 2: image_id 99 is not in the ground",
            ),
            (2, {"category_id": 9}, r"entry 2: category_id 9 is not among the 3 classes \(0..2\)"),
            (1, {"bbox": [500, 0, 5, 5]}, r"entry 1 .*outside its image of 200 x 200 pixels"),
            (1, {"bbox": [5, 5, -1, 5]}, r"entry 1 .*negative width"),
            (1, {"score": float("nan")}, r"entry 1: a box or score is not finite"),
            (1, {"bbox": [0, 0, float("inf"), 1]}, r"entry 1: a box or score is not finite. A"),
            (1, {"score": None}, r"results.json is not readable as COCO JSON.*\[1\].score"),
            (1, {"bbox": [0, 0, 5]}, r"results.json is not readable as COCO JSON.*\[1\].bbox"),
        ],
    )
    def test_results_that_are_refused(self, coco, row, change, message):
        with pytest.raises(InvalidInput, match=message):
            read_coco(*coco(lambda truth, results: results[row].update(change)))

    @pytest.mark.parametrize(
        ("part", "row", "change", "message"),
        [
            ("annotations", 0, {"image_id": 77}, r"truth.json, annotation 0: image_id 77"),
            ("annotations", 0, {"category_id": 7}, r"annotation 0: category_id 7"),
            ("annotations", 3, {"bbox": [0, 900, 5, 5]}, r"annotation 3 .*outside its image"),
            ("images", 1, {"id": 0}, "image or category id occurs twice"),
            ("categories", 1, {"id": 0}, "image or category id occurs twice"),
            ("categories", 1, {"name": None}, "not readable as COCO JSON"),
        ],
    )
    def test_truth_that_is_refused(self, coco, part, row, change, message):
        with pytest.raises(InvalidInput, match=message):
            read_coco(*coco(lambda truth, results: truth[part][row].update(change)))

    def test_files_that_are_none(self, tmp_path):
        with pytest.raises(NotFound, match="does not exist"):
            read_coco_truth(tmp_path / "missing.json")
        with pytest.raises(InvalidInput, match="not readable as COCO JSON"):
            read_coco_truth(write(tmp_path / "text.json", "not json"))
        with pytest.raises(InvalidInput, match="cannot be read"):
            read_coco_truth(tmp_path)


class TestUltralyticsPredictions:
    @pytest.fixture
    def truth(self):
        boxes = random_boxes(5, 8, crowd=0.0)
        return replace(boxes, images=tuple(f"sub/{i:03}.jpg" for i in range(8)))

    def write(self, tmp_path, truth, first, *, classes=None):
        """Write as Ultralytics does: numeric stems as numbers, classes counted from `first`."""
        _, rows = to_coco(truth)
        if classes is not None:
            rows = [row for row in rows if row["category_id"] in classes]
        for row in rows:
            row["category_id"] += first
        return write(tmp_path / "predictions.json", rows)

    @pytest.mark.parametrize("first", [0, 1])
    def test_the_first_category_shows_in_the_ids(self, tmp_path, truth, first):
        found = read_coco_predictions(self.write(tmp_path, truth, first), truth)
        assert np.array_equal(found.pred_cls, truth.pred_cls)
        assert np.array_equal(found.pred_img, truth.pred_img)

    @pytest.mark.parametrize("first", [0, 1])
    def test_else_the_ground_truth_decides(self, tmp_path, truth, first):
        only = {1} if first == 0 else {0, 1}  # ids 1, or 1 and 2, of three classes
        path = self.write(tmp_path, truth, first, classes=only)
        found = read_coco_predictions(path, truth)
        kept = np.isin(truth.pred_cls, list(only))
        assert np.array_equal(found.pred_cls, truth.pred_cls[kept])

    def test_or_the_user(self, tmp_path, truth):
        path = self.write(tmp_path, truth, 0, classes={1})
        found = read_coco_predictions(path, truth, first_category=1)
        assert set(found.pred_cls) == {0}

    def test_ambiguous_categories_are_refused(self, tmp_path, truth):
        path = self.write(tmp_path, truth, 0, classes={1})
        rows = json.loads(path.read_text())[:3]
        with pytest.raises(InvalidInput, match=r"counted from 0 .* or counted from 1 .*first-cat"):
            read_coco_predictions(write(path, rows), truth)

    def test_one_more_category_than_classes(self, tmp_path, truth):
        path = self.write(tmp_path, truth, 0)
        rows = json.loads(path.read_text())
        rows[0]["category_id"] = 3
        with pytest.raises(InvalidInput, match=r"category_id \d is not among the 3 classes"):
            read_coco_predictions(write(path, rows), truth)

    def test_a_name_that_two_images_have(self, tmp_path, truth):
        twice = replace(truth, images=tuple(f"clip{i // 4}/{i % 4}.jpg" for i in range(8)))
        rows = json.loads(self.write(tmp_path, truth, 0).read_text())
        path = write(tmp_path / "predictions.json", [r for r in rows if r["image_id"] < 4])
        with pytest.raises(InvalidInput, match="fits several images"):
            read_coco_predictions(path, twice)


class TestYolo:
    @settings(max_examples=25, deadline=None)
    @given(seed=seeds, n=st.integers(1, 5))
    def test_round_trip(self, tmp_path_factory, seed, n):
        folder = tmp_path_factory.mktemp("yolo")
        boxes = random_boxes(seed, n, crowd=0.0, duplicates=False)
        write_yolo(folder / "truth", boxes, side="truth")
        write_yolo(folder / "pred", boxes, side="pred")
        sizes = dict.fromkeys(boxes.images, (200, 200))
        truth = read_yolo_truth(folder / "truth", sizes=sizes, classes=boxes.classes)
        back = read_yolo_predictions(folder / "pred", truth)
        for side, columns in (("truth", TRUTH_COLUMNS), ("pred", PRED_COLUMNS)):
            order = np.argsort(getattr(boxes, f"{side}_img"), kind="stable")
            for column in columns:
                expected = getattr(boxes, column)[order]
                np.testing.assert_allclose(getattr(back, column), expected, atol=1e-9)

    @pytest.fixture
    def labels(self, tmp_path):
        def folder(text, name="a.txt"):
            (tmp_path / "labels").mkdir(exist_ok=True)
            write(tmp_path / "labels" / name, text)
            return tmp_path / "labels"

        return folder

    @pytest.fixture
    def truth(self):
        return Boxes(images=("a.jpg", "b.jpg"), classes=("x", "y"), sizes=[[10, 20], [10, 20]])

    def read(self, folder):
        return read_yolo_truth(folder, sizes={"a.jpg": (10, 20), "b.jpg": (10, 20)}, classes="xy")

    def test_pixels(self, labels):
        boxes = self.read(labels("1 0.5 0.5 0.2 0.4\n"))
        np.testing.assert_allclose(boxes.truth_xyxy, [[4, 6, 6, 14]])
        assert boxes.images == ("a.jpg", "b.jpg")  # an image without labels stays

    def test_a_polygon_is_its_hull(self, labels):
        boxes = self.read(labels("0 0.1 0.1 0.5 0.2 0.3 0.9"))
        np.testing.assert_allclose(boxes.truth_xyxy, [[1, 2, 5, 18]])

    def test_repeated_and_blank_lines(self, labels):
        boxes = self.read(labels("0 0.5 0.5 0.2 0.4\n\n0 0.5 0.5 0.2 0.4\n"))
        assert len(boxes.truth_img) == 1

    def test_flat_predictions_for_images_in_folders(self, labels):
        truth = Boxes(images=("images/val/a.jpg",), classes=("x",), sizes=[[10, 20]])
        assert read_yolo_predictions(labels("0 .5 .5 .2 .4 .9"), truth).pred_score == [0.9]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("0 0.5 0.5 0.2", "line 1 has 4 numbers"),
            ("0 0.5 0.5 0.2 x", "line 1 holds something that is not a number"),
            ("0 0.5 0.5 0.2 nan", "line 1 holds a number that is not finite"),
            ("\n2 0.5 0.5 0.2 0.2", "line 2 has class 2, expected 0..1"),
            ("0.5 0.5 0.5 0.2 0.2", "line 1 has class 0.5"),
            ("0 50 60 20 20", r"coordinate outside 0..1. Normalise"),
            ("0 0.5 0.5 0.2 0.2 0.9", "confidence has no place in ground truth"),
            ("0 0.1 0.1 0.5 0.2 0.3 0.9 0.4", "neither box nor polygon"),
        ],
    )
    def test_truth_that_is_refused(self, labels, text, message):
        with pytest.raises(InvalidInput, match=message) as caught:
            self.read(labels(text))
        assert "a.txt" in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("0 0.5 0.5 0.2 0.2", "has no confidence. Write predictions with save_conf=True"),
            ("0 50 60 20 20 0.9", "box outside the image. .*not pixels"),
            ("0 0.5 0.5 -0.2 0.2 0.9", "negative width"),
            ("7 0.5 0.5 0.2 0.2 0.9", r"class 7, expected 0..1. .*another dataset"),
            ("0 0.5 0.5 0.2 0.2 nan", "not finite"),
        ],
    )
    def test_predictions_that_are_refused(self, labels, truth, text, message):
        with pytest.raises(InvalidInput, match=message):
            read_yolo_predictions(labels(text), truth)

    def test_predictions_for_unknown_images(self, labels, truth):
        folder = labels("0 .5 .5 .2 .4 .9", "c.txt")
        with pytest.raises(InvalidInput, match=r"c.txt belongs to none of the 2 images"):
            read_yolo_predictions(folder, truth)

    def test_predictions_that_could_be_for_two_images(self, labels):
        truth = Boxes(images=("1/a.jpg", "2/a.jpg"), classes=("x",), sizes=[[9, 9], [9, 9]])
        with pytest.raises(InvalidInput, match="could belong to 2 images"):
            read_yolo_predictions(labels("0 .5 .5 .2 .4 .9"), truth)

    def test_no_folder(self, tmp_path, truth):
        with pytest.raises(NotFound, match="does not exist"):
            read_yolo_predictions(tmp_path / "nix", truth)

    def test_not_text(self, labels, truth):
        folder = labels("")
        (folder / "a.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(InvalidInput, match="not a text file"):
            read_yolo_predictions(folder, truth)

    @settings(max_examples=200, deadline=None)
    @given(text=st.text(alphabet="0123456789.-+einaf \n\tx", max_size=60))
    def test_whatever_a_file_holds_is_read_or_refused(self, tmp_path_factory, text):
        folder = tmp_path_factory.mktemp("any")
        write(folder / "a.txt", text)
        said = ""
        try:
            boxes = self.read(folder)
        except InvalidInput as error:
            said = str(error)
        assert "a.txt" in said or np.isfinite(boxes.truth_xyxy).all()
