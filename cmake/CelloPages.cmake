# The pages /docs and /redoc: Swagger UI and ReDoc, taken out of their npm packages once and kept in
# the build folder. requirements/pages.txt pins them.

function(cello_add_pages)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/pages)
  set(script ${PROJECT_SOURCE_DIR}/tools/fetch_pages.py)
  set(pins ${PROJECT_SOURCE_DIR}/requirements/pages.txt)
  add_custom_command(
    OUTPUT ${folder}/packages.txt
    COMMAND ${Python_EXECUTABLE} ${script} ${folder}
    DEPENDS ${script} ${pins}
    COMMENT "Taking Swagger UI and ReDoc out of their npm packages"
    VERBATIM)
  add_custom_target(pages ALL DEPENDS ${folder}/packages.txt)
  install(DIRECTORY ${folder}/ DESTINATION cello/_pages)
endfunction()
