(function () {
  "use strict";
  function all(selector, within) { return Array.prototype.slice.call((within || document).querySelectorAll(selector)); }
  function make(tag, text, attributes) {
    var made = document.createElement(tag);
    if (text !== undefined && text !== null) { made.textContent = text; }
    Object.keys(attributes || {}).forEach(function (name) { made.setAttribute(name, attributes[name]); });
    return made;
  }

  // A click on a head sorts its column; rows without a value stay last.
  function sortable(table) {
    var body = table.tBodies[0], heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
    function value(cell) {
      var given = cell.getAttribute("data-value");
      if (given !== null) { return given === "" ? NaN : parseFloat(given); }
      return cell.textContent.trim().toLowerCase();
    }
    heads.forEach(function (head, place) {
      var button = head.querySelector("button");
      if (!button) { return; }
      button.addEventListener("click", function () {
        var up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach(function (h) { h.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        var rows = Array.prototype.slice.call(body.rows);
        rows.sort(function (a, b) {
          var x = value(a.cells[place]), y = value(b.cells[place]);
          if (x !== x || y !== y) { return (x !== x) - (y !== y); }
          return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
        });
        rows.forEach(function (row) { body.appendChild(row); });
      });
    });
  }
  all("table.board").forEach(sortable);

  // One tab for each scenario and kind; without this script all stand one below the other.
  var panels = all("section[data-tab]"), tabs = [], list = document.getElementById("tabs");
  function choose(n, focus) {
    panels.forEach(function (panel, k) {
      panel.hidden = k !== n;
      tabs[k].setAttribute("aria-selected", k === n ? "true" : "false");
      tabs[k].tabIndex = k === n ? 0 : -1;
    });
    if (focus) { tabs[n].focus(); }
  }
  if (panels.length > 1) {
    panels.forEach(function (panel, k) {
      var tab = make("button", panel.getAttribute("data-tab"),
        { type: "button", role: "tab", "aria-controls": panel.id, id: "of-" + panel.id });
      tab.appendChild(make("small", ""));
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", "of-" + panel.id);
      tab.addEventListener("click", function () {
        choose(k);
        try { history.replaceState(null, "", "#" + panel.id); } catch (error) { location.hash = panel.id; }
      });
      tab.addEventListener("keydown", function (event) {
        var to = { ArrowRight: k + 1, ArrowLeft: k - 1, Home: 0, End: panels.length - 1 }[event.key];
        if (to === undefined) { return; }
        event.preventDefault();
        choose((to + panels.length) % panels.length, true);
      });
      tabs.push(tab);
      list.appendChild(tab);
    });
    list.hidden = false;
    var asked = panels.findIndex(function (panel) { return "#" + panel.id === location.hash; });
    choose(Math.max(0, asked));
  }

  var form = document.getElementById("filter");
  if (!form) { return; }
  var rows = all("table.learners tbody tr");

  function filter() {
    var only = form.querySelector("[data-ranked]").checked, shown = 0;
    var words = form.querySelector("[type=search]").value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach(function (row) {
      var text = row.getAttribute("data-text").toLowerCase();
      var fits = (!only || row.classList.contains("in")) && words.every(function (word) { return text.indexOf(word) >= 0; });
      all("select", form).forEach(function (s) {
        fits = fits && (!s.value || row.getAttribute("data-" + s.getAttribute("data-field")) === s.value);
      });
      row.hidden = !fits;
      shown += fits;
    });
    document.getElementById("count").textContent = shown + " / " + rows.length;
    panels.forEach(function (panel, k) {
      var mine = all("table.learners tbody tr", panel);
      var left = mine.filter(function (row) { return !row.hidden; }).length;
      if (tabs[k]) { tabs[k].querySelector("small").textContent = mine.length ? " " + left : ""; }
    });
  }
  form.addEventListener("input", filter);
  form.addEventListener("change", filter);
  form.addEventListener("submit", function (event) { event.preventDefault(); });

  // Which columns are shown.
  var style = document.head.appendChild(make("style"));
  var boxes = all("#columns input");
  boxes.forEach(function (box) {
    box.addEventListener("change", function () {
      style.textContent = boxes.filter(function (b) { return !b.checked; }).map(function (b) {
        return ".c" + b.value + " { display: none; }";
      }).join("\n");
    });
  });

  // Two rows side by side.
  var panel = document.getElementById("compared"), chosen = [];
  function side(row) { return row.querySelector("th a").textContent; }
  function compared() {
    panel.textContent = "";
    panel.hidden = !chosen.length;
    if (!chosen.length) { return; }
    var top = make("p", chosen.length < 2 ? side(chosen[0]) + {{ tr(": choose a second row to compare it with.")|tojson }} : null);
    if (chosen.length === 2) { top.textContent = side(chosen[0]) + {{ tr(" and ")|tojson }} + side(chosen[1]); }
    var clear = make("button", {{ tr("clear")|tojson }}, { type: "button" });
    clear.addEventListener("click", function () { chosen.slice().forEach(function (row) { drop(row); }); compared(); });
    top.appendChild(document.createTextNode(" "));
    top.appendChild(clear);
    panel.appendChild(top);
    if (chosen.length < 2) { return; }
    var alike = chosen[0].closest("section") === chosen[1].closest("section");
    panel.appendChild(make("p", alike
      ? {{ tr("A difference of two figures is no test; clbench compare tests it, item by item.")|tojson }}
      : {{ tr("These rows are of different scenarios or models, so their scores cannot be compared.")|tojson }}, { "class": "note" }));
    var table = make("table"), head = table.createTHead().insertRow(), body = table.createTBody();
    ["", side(chosen[0]), side(chosen[1]), {{ tr("difference")|tojson }}].forEach(function (text) {
      head.appendChild(make("th", text, { scope: "col" }));
    });
    all("thead th[data-figure]", chosen[0].closest("table")).forEach(function (th) {
      var cells = chosen.map(function (row) { return row.querySelector("." + th.classList[0]); });
      var values = cells.map(function (cell) { return parseFloat(cell.getAttribute("data-value")); });
      var line = body.insertRow(), unit = th.getAttribute("data-figure"), change = values[1] - values[0];
      line.appendChild(make("th", th.textContent, { scope: "row" }));
      cells.forEach(function (cell) { line.appendChild(make("td", cell.textContent.trim())); });
      var text = change !== change || !alike ? "–" : unit === "score"
        ? (change > 0 ? "+" : "") + (100 * change).toFixed(1)
        : values[0] > 0 ? "× " + (values[1] / values[0]).toPrecision(3) : "–";
      line.appendChild(make("td", text));
    });
    panel.appendChild(make("div", null, { "class": "wide" })).appendChild(table);
  }
  function drop(row) {
    chosen.splice(chosen.indexOf(row), 1);
    row.querySelector("[data-compare]").checked = false;
  }
  all("[data-compare]").forEach(function (box) {
    box.hidden = false;
    box.addEventListener("change", function () {
      var row = box.closest("tr");
      if (!box.checked) { drop(row); } else { chosen.push(row); if (chosen.length > 2) { drop(chosen[0]); } }
      compared();
    });
  });
  form.hidden = false;
  filter();
})();
