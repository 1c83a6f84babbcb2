// Prints each thing that Redocly's rules find wrong with an OpenAPI document, and fails if there is one.
// redocly.cjs is @redocly/openapi-core 2.64.0 (MIT) in one file: npm install @redocly/openapi-core
// esbuild; echo "export { lint, createConfig } from '@redocly/openapi-core'" > entry.mjs; npx esbuild
// entry.mjs --bundle --platform=node --format=cjs --minify --legal-comments=eof --outfile=redocly.cjs
const { createConfig, lint } = require('./redocly.cjs');

const rules = {
  // The files for queries and headers are published too, for people: an operation has their parts.
  'no-unused-components': 'off',
  // By default these put `additionalProperties: false` into `then` and `else` too.
  'no-invalid-media-type-examples': { severity: 'error', allowAdditionalProperties: true },
  'no-invalid-schema-examples': { severity: 'error', allowAdditionalProperties: true },
  // It takes `if` and `not` for schemas that stand alone.
  'no-required-schema-properties-undefined': 'off',
};

(async () => {
  const config = await createConfig({ extends: ['recommended-strict'], rules });
  const problems = await lint({ ref: process.argv[2], config });
  for (const { ruleId, location, message } of problems) {
    console.log(`${location[0].pointer}: ${message} (${ruleId})`);
  }
  process.exitCode = problems.length ? 1 : 0;
})();
