// Starts Swagger UI on the document that the page names; ?version=... chooses another one of it.
"use strict";
(() => {
  const data = document.currentScript.dataset;
  const version = new URLSearchParams(location.search).get("version");
  window.ui = SwaggerUIBundle({
    url: data.url + (version ? "?version=" + encodeURIComponent(version) : ""),
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: null, // the default asks a server elsewhere
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
  });
})();
