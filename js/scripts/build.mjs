// Bundles the widgets and the loader into the Python package.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, context } from "esbuild";

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(here, "..", "labcontainers", "widgets", "static");
// bytes that each bundle may have; the loader is what a saved notebook keeps for every widget
const limits = { "widgets.js": 150_000, "loader.js": 2_000, "terminal.js": 500_000, "dashboard.js": 150_000 };

const options = {
  entryPoints: {
    widgets: join(here, "src/widgets/index.ts"),
    loader: join(here, "src/widgets/loader.ts"),
    terminal: join(here, "src/terminal/index.ts"),
    dashboard: join(here, "src/dashboard/index.ts"),
  },
  outdir: out,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  loader: { ".css": "text" },
  legalComments: "eof",
  logLevel: "warning",
  plugins: [minifiedStyles()],
};

function minifiedStyles() {
  return {
    name: "minified-styles",
    setup(plugin) {
      plugin.onLoad({ filter: /\.css$/ }, async ({ path }) => {
        const result = await build({
          entryPoints: [path],
          bundle: true,
          minify: true,
          write: false,
          target: "chrome111",
        });
        return { contents: result.outputFiles[0].text, loader: "text", watchFiles: [path] };
      });
    },
  };
}

function check() {
  for (const [name, limit] of Object.entries(limits)) {
    const { length } = readFileSync(join(out, name));
    if (length >= limit) throw new Error(`${name} has ${length} bytes; it must stay below ${limit}`);
    console.log(`${name}: ${length} bytes`);
  }
}

if (process.argv.includes("--watch")) {
  await (await context(options)).watch();
} else {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  await build(options);
  check();
}
