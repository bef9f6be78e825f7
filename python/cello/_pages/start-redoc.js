// Starts ReDoc on the document that the page names; ?version=... chooses another one of it.
"use strict";
(() => {
  const data = document.currentScript.dataset;
  const version = new URLSearchParams(location.search).get("version");
  const url = data.url + (version ? "?version=" + encodeURIComponent(version) : "");
  Redoc.init(url, { nativeScrollbars: true }, document.getElementById("redoc"));
})();
