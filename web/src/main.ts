import "./tokens.css";
import "./base.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { pageOfLink } from "./lib/mlflow-links";
import { router } from "./lib/router.svelte";

/** Links that were made for another page than ours are followed to where ours has the same. */
async function translate(): Promise<void> {
  const page = await pageOfLink(location.hash);
  if (page) router.replace(page);
}

addEventListener("hashchange", () => void translate());
await translate();
mount(App, { target: document.body });
