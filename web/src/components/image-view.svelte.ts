/** Which boxes of images are drawn. */
export class ImageView {
  truth = $state(true);
  predictions = $state(true);
  minScore = $state(0);
  only = $state("");
}
