// Starts Swagger UI on /docs. It is the whole of that page; nothing else uses this file.

const { SwaggerUIBundle } = /** @type {any} */ (globalThis);

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null, // else the document's address would be shown to a server of others
});
