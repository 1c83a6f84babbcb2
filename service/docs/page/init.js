"use strict";

SwaggerUIBundle({
  dom_id: "#swagger-ui",
  // Relative, so that the page works below any prefix that a proxy adds.
  url: "openapi.json",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
});
